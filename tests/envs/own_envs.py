"""Small environments as users have them: Gymnasium's with several agents, and PettingZoo's."""

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete, Tuple
from pettingzoo import AECEnv, ParallelEnv

LEVELS = (2, 3)  # actions of the two agents


class Valves(gymnasium.Env):
    """Two valves fill a tank, of different steps; each agent sees the level and the goal.

    ``style`` is how Gymnasium says that there are two agents.
    """

    def __init__(self, style="tuple", reward="each", actions=None, length=4, cut=True):
        self.style, self.reward, self.length, self.cut = style, reward, length, cut
        one = Box(-10, 10, (2,))
        actions = actions or [Discrete(n) for n in LEVELS]
        if style == "tuple":
            self.observation_space, self.action_space = Tuple([one, one]), Tuple(actions)
        elif style == "dict":
            names = ("inlet", "outlet")
            self.observation_space = Dict(dict.fromkeys(names, one))
            self.action_space = Dict(dict(zip(names, actions, strict=True)))
        else:
            self.observation_space = Box(-10, 10, (2, 2))
            self.action_space = MultiDiscrete(LEVELS)

    def _by_style(self, values):
        if self.style == "dict":
            return dict(zip(self.action_space.spaces, values, strict=True))
        return np.stack(values) if self.style == "array" else tuple(values)

    def _seen(self):
        return self._by_style([np.float32([self.level, self.goal])] * 2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.level, self.steps, self.given = 0.0, 0, []
        self.goal = float(self.np_random.integers(5))
        return self._seen(), {}

    def step(self, action):
        self.given.append(action)
        values = list(action.values()) if self.style == "dict" else list(action)
        self.level += float(np.sum(values))
        self.steps += 1
        over, miss = self.steps >= self.length, -abs(self.level - self.goal)
        each = {"each": self._by_style([miss, 1.0]), "team": miss}[self.reward]
        ended, cut = over and not self.cut, over and self.cut
        if self.style == "dict":
            ended, cut = {"__all__": ended}, {"__all__": cut}
        return self._seen(), each, ended, cut, {}


class Night(ParallelEnv):
    """Three guards, who go home after 1, 2, … steps (``hours``); each earns what it does."""

    metadata = {"name": "night"}  # noqa: RUF012
    render_mode = None

    def __init__(self, hours=(1, 3, 2), cut=(), with_state=None):
        self.possible_agents = ["ann", "bob", "cy"]
        self.hours, self.cut = dict(zip(self.possible_agents, hours, strict=True)), cut
        self.with_state = with_state

    def observation_space(self, agent):
        return Box(0, 99, (1 if agent == "ann" else 2,))

    def action_space(self, agent):
        return Discrete(4 if agent == "bob" else 3)

    def _seen(self, agents):
        return {a: np.full(self.observation_space(a).shape, self.hour + 1.0) for a in agents}

    def reset(self, seed=None, options=None):
        self.agents, self.hour = list(self.possible_agents), 0
        return self._seen(self.agents), {a: {} for a in self.agents}

    def step(self, actions):
        assert set(actions) == set(self.agents), "who went home does not act"
        self.hour += 1
        going = [a for a in self.agents if self.hour >= self.hours[a]]
        there, self.agents = self.agents, [a for a in self.agents if a not in going]
        rewards = {a: float(actions[a]) for a in there}
        terminated = {a: a in going and a not in self.cut for a in there}
        truncated = {a: a in going and a in self.cut for a in there}
        return self._seen(there), rewards, terminated, truncated, {a: {} for a in there}

    def state(self):
        if self.with_state is None:
            raise NotImplementedError
        n = len(self.agents) if self.with_state == "of those there" else 3
        return np.full((n, 2), self.hour)


class Turns(AECEnv):
    """Two agents take 1 or 2 from a heap in turn; who takes the last one earns the team 1.

    Nobody may take 2 of 1: the observation says so.
    """

    metadata = {"name": "turns"}  # noqa: RUF012
    render_mode = None

    def __init__(self, heap=3):
        super().__init__()
        self.heap, self.possible_agents = heap, ["first", "second"]

    def observation_space(self, agent):
        return Dict({"observation": Box(0, 9, (1,)), "action_mask": Box(0, 1, (2,), np.int8)})

    def action_space(self, agent):
        return Discrete(2)

    def observe(self, agent):
        mask = np.array([1, self.left > 1], np.int8)
        return {"observation": np.float32([self.left]), "action_mask": mask}

    def reset(self, seed=None, options=None):
        self.agents, self.left, self.taken = list(self.possible_agents), self.heap, []
        self.rewards = self._cumulative_rewards = dict.fromkeys(self.agents, 0.0)
        self.terminations = dict.fromkeys(self.agents, False)
        self.truncations = dict.fromkeys(self.agents, False)
        self.infos = {a: {} for a in self.agents}
        self.agent_selection = self.agents[0]

    def step(self, action):
        who = self.agent_selection
        if self.terminations[who]:
            self._was_dead_step(action)
            return
        self.taken.append((who, int(action) + 1))
        self.left -= int(action) + 1
        self.rewards = dict.fromkeys(self.agents, 0.0)
        if self.left == 0:
            self.rewards[who] = 1.0
            self.terminations = dict.fromkeys(self.agents, True)
        self.agent_selection = self.agents[1 - self.agents.index(who)]
