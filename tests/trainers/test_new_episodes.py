"""Environments that cannot be put back into mid-episode: new episodes, of other random numbers."""

from types import SimpleNamespace

import pytest
import torch

from tests.tasks.toys import Counting
from torchrl_drigm.envs import team_env
from torchrl_drigm.tasks import play, playing
from torchrl_drigm.trainers.checkpoint import CollectionState


@pytest.fixture
def seeds_after():
    """Seeds that the environment is given, and the order of what happens to it."""

    def seeds(own, frames):
        torch.manual_seed(own)
        happened = []
        collector = SimpleNamespace(
            _frames=0,
            env=SimpleNamespace(set_seed=happened.append),
            reset=lambda: happened.append("reset"),
        )
        collector.load_state_dict = lambda state: vars(collector).update(_frames=state)
        CollectionState(collector, mid_episode=False).load_state_dict({"collector": frames})
        return happened

    return seeds


def test_a_resumed_run_does_not_begin_with_the_episodes_of_the_first_time(seeds_after):
    seed, then = seeds_after(0, 640)
    assert then == "reset", "which takes the seed"
    assert seeds_after(0, 640) == [seed, "reset"], "it is the same every time"
    others = {seeds_after(own, frames)[0] for own in (0, 1, 2) for frames in (320, 640)}
    assert len(others) == 6 and 0 not in others
    assert all(0 <= one < 2**31 for one in others), "what every simulator takes"


def test_episodes_that_never_end_are_refused(monkeypatch):
    monkeypatch.setattr(playing, "LONGEST", 20)
    env = team_env(Counting(length=1000))
    with pytest.raises(ValueError, match=r"not ended after 20 steps\. Give .* env\.max_steps"):
        play(env.rand_action, env, episodes=1)
