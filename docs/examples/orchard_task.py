"""A task of one's own: the orchard, as trainers and evaluation see it."""

import torch
from orchard import HASTY, QUIET, Orchard
from torchrl.envs import Compose, TransformedEnv

from torchrl_drigm.tasks import Task, battle_seeds

__all__ = ["OrchardTask"]


class OrchardTask(Task):
    """Nights in the orchard.

    Args:
        hours (int): steps of a night.
        wakes (float): how probable it is that a hasty agent wakes the guard, in training.
        **settings: those of every task.
    """

    name = "orchard"
    # what a shift may change, and what is judged by default; the first one is trained in
    shifts = {"wakes": "probability that one hasty agent wakes the guard"}
    suites = {"nights": [{"name": "sleepy"}, {"name": "watchful", "wakes": 0.2}]}
    # two columns of a table of episodes: an entry of the last step, and what every task has
    metrics = {"woken": ("info", "woken")}
    columns = ("woken", "return", "steps")
    resumes_mid_episode = False  # Orchard keeps the hour to itself: a resumed run starts new nights

    def __init__(self, hours=12, wakes=0.05, **settings):
        super().__init__(**settings)
        self.hours, self.wakes = hours, wakes
        self.max_steps = hours + 1  # whatever takes longer has gone wrong

    def make_env(self, num_envs, purpose, seed, shift):
        """Nights to train or to test in; those of other seeds have other guards."""
        (seed,) = battle_seeds(purpose, seed)
        wakes = shift.get("wakes", self.wakes)
        env = Orchard(num_envs, self.hours, wakes, seed, self.device)
        return TransformedEnv(env, Compose())

    @property
    def references(self):
        """What needs no learning, as rows beside the team's."""
        return {"always quiet": lambda: _always(QUIET), "always hasty": lambda: _always(HASTY)}


def _always(level):
    def policy(tensordict):
        action = torch.full(tensordict["agents", "observation"].shape[:-1], level)
        return tensordict.set(("agents", "action"), action)

    return policy
