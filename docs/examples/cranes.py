"""An environment of one's own, in PettingZoo: two cranes unload a ship in the wind."""

import numpy as np
from gymnasium.spaces import Box, Discrete
from pettingzoo import ParallelEnv

SLOW, FAST = 0, 1  # one container in a step, or two
REPAIR = 10  # steps that a crane stands still when its load was caught
CAUGHT = {"calm": 0.01, "gusts": 0.04}  # probability that a fast load is caught, in a step
TURNS = 0.1  # probability that the wind turns from one to the other


class Cranes(ParallelEnv):
    """A shift at the quay. Slow loads are safe; a fast one may be caught, the more so in gusts.

    Both cranes feel the wind, and each knows how long its own repair will take. The reward of a
    crane is the containers that it puts ashore.

    Args:
        wind (float): factor on the probability that a load is caught.
        steps (int): length of a shift, which is then cut.
    """

    metadata = {"name": "cranes"}
    render_mode = None

    def __init__(self, wind=1.0, steps=60):
        self.wind, self.steps = wind, steps
        self.possible_agents = ["east", "west"]

    def observation_space(self, agent):
        """Gusts or not; steps of repair left, in units of all of them."""
        return Box(0, 1, (2,))

    def action_space(self, agent):
        """SLOW or FAST."""
        return Discrete(2)

    def reset(self, seed=None, options=None):
        """Calm, and both cranes work."""
        if seed is not None:
            self.random = np.random.default_rng(seed)
        self.agents = list(self.possible_agents)
        self.step_count, self.gusts = 0, False
        self.repair = dict.fromkeys(self.agents, 0)
        return self._seen()

    def step(self, actions):
        """One load of each crane, and the wind after it."""
        rewards = {}
        for crane, action in actions.items():
            works = self.repair[crane] == 0
            rewards[crane] = float(works * (1 + (action == FAST)))
            risk = self.wind * CAUGHT["gusts" if self.gusts else "calm"]
            if works and action == FAST and self.random.random() < risk:
                self.repair[crane] = REPAIR
            elif not works:
                self.repair[crane] -= 1
        self.gusts ^= self.random.random() < TURNS
        self.step_count += 1
        over = self.step_count >= self.steps
        flags = [dict.fromkeys(actions, flag) for flag in (False, over)]  # terminated, truncated
        self.agents = [] if over else self.agents
        seen, infos = self._seen()
        return seen, rewards, *flags, infos

    def _seen(self):
        seen = {
            crane: np.float32([self.gusts, self.repair[crane] / REPAIR])
            for crane in self.possible_agents
        }
        # a crane under repair can only wait, whichever speed it would have
        infos = {
            crane: {"action_mask": np.array([1, self.repair[crane] == 0], np.int8)}
            for crane in self.possible_agents
        }
        return seen, infos


def make_env(wind=1.0, steps=60):
    """What ``env.make`` names; its arguments are those of ``env.kwargs`` and of shifts."""
    return Cranes(wind, steps)
