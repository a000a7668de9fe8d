"""The wrapper around one real SustainGym environment, or another of PettingZoo's."""

import numpy as np
import pytest
import torch
from tensordict import TensorDict
from torchrl.envs import check_env_specs

from tests.envs._sustaingym import assert_same_course, at, follow, parameters, sustaingym
from torchrl_drigm.envs import SustainGymEnv, SustainGymWrapper

pytestmark = pytest.mark.sustaingym

from gymnasium import spaces  # noqa: E402
from pettingzoo import ParallelEnv  # noqa: E402
from sustaingym.envs.building import BuildingEnv, MultiAgentBuildingEnv  # noqa: E402


@pytest.fixture(autouse=True)
def _fixed_seed():
    torch.manual_seed(0)


class Toy(ParallelEnv):
    """Two agents by name, nested observations, no state, a reward per agent."""

    metadata = {}  # noqa: RUF012
    observation = spaces.Dict(
        {"box": spaces.Box(-1, 1, (2,), np.float32), "mode": spaces.Discrete(3)}
    )

    def __init__(self, action=None, observation=None):
        self.agents = self.possible_agents = ["left", "right"]
        action = action or spaces.Box(-2.0, 2.0, (2,), np.float32)
        self.action_spaces = dict.fromkeys(self.agents, action)
        self.observation_spaces = dict.fromkeys(self.agents, self.observation)
        if observation is not None:
            self.observation_spaces["right"] = observation

    def observation_space(self, agent):
        return self.observation_spaces[agent]

    def action_space(self, agent):
        return self.action_spaces[agent]

    def _observe(self):
        return {
            agent: {"box": self.noise[i].astype(np.float32), "mode": i}
            for i, agent in enumerate(["left", "right"])
        }

    def reset(self, seed=None, options=None):
        self.noise = np.random.default_rng(seed).uniform(-1, 1, (2, 2))
        self.agents, self.t = self.possible_agents[:], 0
        return self._observe(), {}

    def step(self, actions):
        self.t += 1
        rewards = {"left": 1.0, "right": float(np.sum(actions["right"]))}
        terminated = dict.fromkeys(self.agents, self.t == 3)
        truncated = dict.fromkeys(self.agents, False)
        if self.t == 3:
            self.agents = []
        return self._observe(), rewards, terminated, truncated, {}


class TestSustainGymWrapper:
    @pytest.mark.parametrize("continuous", [False, True], ids=["levels", "continuous"])
    def test_specs(self, continuous):
        env = SustainGymWrapper(MultiAgentBuildingEnv(parameters(continuous=continuous)))
        check_env_specs(env)
        assert env.lib is sustaingym
        shape = env.full_action_spec["agents", "action"].shape
        assert shape == ((6, 1) if continuous else (6,))

    def test_equals_batched_env(self):
        levels = torch.randint(200, (288, 1, 6))
        batched = SustainGymEnv("building", num_envs=1)
        expected = follow(batched, levels, batched.reset(at([120])))
        discrete = SustainGymWrapper(MultiAgentBuildingEnv(parameters()))
        power = (levels[:, 0, :, None] - 100) / 100
        continuous = SustainGymWrapper(MultiAgentBuildingEnv(parameters(continuous=True)))
        for env, actions in ((discrete, levels[:, 0]), (continuous, power)):
            td = env.reset(TensorDict({"day": torch.tensor([120])}))
            assert td["state"].tolist() == pytest.approx(env.state().tolist())
            assert_same_course(follow(env, actions, td), {k: v[:, 0] for k, v in expected.items()})

    def test_zones_without_a_unit(self):
        p = parameters(continuous=True, without_unit=(1, 4))
        env = SustainGymWrapper(MultiAgentBuildingEnv(p))
        real = BuildingEnv(p)
        state, _ = real.reset(seed=9)
        td = env.reset(TensorDict({"day": 9}))
        np.testing.assert_allclose(
            td["agents", "observation"][:, 0], state[[0, 2, 3, 5]], atol=1e-6
        )
        td["agents", "action"] = torch.tensor([[0.1], [0.2], [0.3], [0.4]])
        state, reward, *_ = real.step(np.array([0.1, 0, 0.2, 0.3, 0, 0.4], dtype=np.float32))
        td = env.step(td)["next"]
        np.testing.assert_allclose(td["state"], state, atol=1e-5)
        assert td["reward"].item() == pytest.approx(4 * reward, rel=1e-5)

    def test_seeding(self):
        def starts(env):
            return [env.reset()["state"][6:].tolist() for _ in range(4)]

        env = SustainGymWrapper(MultiAgentBuildingEnv(parameters()))
        env.set_seed(3)
        first = starts(env)
        assert first[0] != first[1]
        env.set_seed(3)
        assert starts(env) == first
        env.set_seed(4)
        assert starts(env) != first

    def test_day_end_is_a_truncation_and_resets(self):
        env = SustainGymWrapper(MultiAgentBuildingEnv(parameters()))
        rollout = env.rollout(300, break_when_any_done=False)
        assert rollout["next", "truncated"].flatten().nonzero().tolist() == [[287]]
        assert torch.equal(rollout["next", "done"], rollout["next", "truncated"])
        assert not rollout["next", "terminated"].any()
        assert rollout["state"][288, :6].tolist() == [22.0] * 6

    def test_step_after_the_end(self):
        env = SustainGymWrapper(Toy())
        td = env.rollout(3)[-1]["next"]
        with pytest.raises(RuntimeError, match="episode is over: reset before"):
            env.step(env.rand_action(td))

    @pytest.mark.parametrize("action", [None, spaces.Discrete(4)])
    def test_other_environments(self, action):
        env = SustainGymWrapper(Toy(action))
        check_env_specs(env)
        td = env.reset()
        # Two numbers and a one-hot of three; without state() the observations are the state.
        assert td["agents", "observation"].shape == (2, 5)
        assert td["agents", "observation"][:, 2:].tolist() == [[1, 0, 0], [0, 1, 0]]
        assert torch.equal(td["state"], td["agents", "observation"].flatten())
        td = env.step(env.rand_action(td))
        right = td["agents", "action"][1].sum().item()
        assert td["next", "reward"].item() == pytest.approx(1 + right, abs=1e-5)
        end = env.rollout(9)["next"]
        assert end["truncated"].flatten().tolist() == [False, False, True]
        assert not end["terminated"].any()

    def test_errors(self):
        with pytest.raises(TypeError, match="env is a BuildingEnv; expected a pettingzoo"):
            SustainGymWrapper(BuildingEnv(parameters()))
        with pytest.raises(ValueError, match=r"observation spaces differ.*'left' has .*'right'"):
            SustainGymWrapper(Toy(observation=spaces.Discrete(2)))
        with pytest.raises(ValueError, match=r"action space is MultiBinary\(2\); expected"):
            SustainGymWrapper(Toy(action=spaces.MultiBinary(2)))
        with pytest.raises(ValueError, match="only the building environment has a 'day'"):
            SustainGymWrapper(Toy()).reset(TensorDict({"day": 3}))
        env = SustainGymWrapper(MultiAgentBuildingEnv(parameters()))
        with pytest.raises(ValueError, match=r"day=365 must be in \[0, 365\)"):
            env.reset(TensorDict({"day": 365}))
