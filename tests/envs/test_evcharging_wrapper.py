"""SustainGym's EV charging in the wrapper: levels, the team's reward, shared features once."""

from pathlib import Path

import numpy as np
import pytest
import torch
from tensordict import TensorDict
from torchrl.envs import check_env_specs

from tests.envs._evcharging import charging, real
from torchrl_drigm.envs import SustainGymWrapper

pytestmark = [
    pytest.mark.evcharging,
    # acnportal says when pilot signals are more than the network may carry, which costs here
    pytest.mark.filterwarnings("ignore:Invalid schedule provided"),
]


@pytest.fixture(scope="module")
def env():
    return SustainGymWrapper(charging(real()), n_action_levels=5)


def test_specs(env):
    check_env_specs(env)
    assert env.full_action_spec["agents", "action"].shape == (54,)
    td = env.reset()
    assert td["agents", "observation"].shape == (54, 40)
    assert td["state"].shape == (146,)  # what SustainGym shows each of 54 agents, once


def test_features_are_those_of_sustaingym(env):
    env.reset(TensorDict({"day": 7}))
    for _ in range(120):
        real_obs, *_ = env._env.step(dict.fromkeys(env._env.agents, 0.25))
    (flat,) = {obs.tobytes() for obs in real_obs.values()}  # everyone sees all
    flat = np.frombuffer(flat, np.float32)
    demands, departures, forecast, moer, time = np.split(flat, [54, 108, 144, 145])
    td = env._read(real_obs)
    shared = np.concatenate([time, moer, forecast])
    assert np.count_nonzero(demands) > 5
    np.testing.assert_array_equal(td["state"], np.concatenate([departures, demands, shared]))
    seen = td["agents", "observation"]
    np.testing.assert_array_equal(seen[:, 0], departures)
    np.testing.assert_array_equal(seen[:, 1], demands)
    assert (seen[:, 2:] == torch.from_numpy(shared)).all()


def test_levels_are_those_of_sustaingym(env):
    """Five levels, as its own wrapper has; the team earns what the single environment does."""
    theirs = SustainGymWrapper(charging(real(), discrete=True))
    levels = torch.randint(5, (100, 54), generator=torch.Generator().manual_seed(0))
    courses = []
    for one in (env, theirs):
        td, rewards = one.reset(TensorDict({"day": 7})), []
        for action in levels:
            td = one.step(td.set(("agents", "action"), action))["next"]
            rewards.append(td["reward"].item())
        courses.append(rewards)
        earned = one._env.single_env.unwrapped._reward_breakdown
        expected = earned["profit"] - earned["carbon_cost"] - earned["excess_charge"]
        assert sum(rewards) == pytest.approx(expected, rel=1e-4)
    assert courses[0] == pytest.approx(courses[1]) and len(set(courses[0])) > 50


def test_a_day_is_truncated(env):
    rollout = env.rollout(
        300, policy=lambda td: td.set(("agents", "action"), torch.zeros(54).long())
    )
    assert rollout["next", "truncated"].flatten().nonzero().tolist() == [[287]]
    assert not rollout["next", "terminated"].any()


def test_errors(env):
    with pytest.raises(ValueError, match=r"day=123 must be in \[0, 123\)"):
        env.reset(TensorDict({"day": 123}))
    with pytest.raises(ValueError, match="sequential=True"):
        SustainGymWrapper(charging(real(sequential=False))).reset(TensorDict({"day": 0}))
    with pytest.raises(ValueError, match=r"n_action_levels=5 makes levels .* Discrete\(5\)"):
        SustainGymWrapper(charging(real(), discrete=True), n_action_levels=5)
    with pytest.raises(ValueError, match="n_action_levels=1 must be an int of at least 2"):
        SustainGymWrapper(env._env, n_action_levels=1)


WITHOUT_PVLIB = """
import sys, warnings
sys.modules["pvlib"] = None  # as if it were not installed
warnings.simplefilter("ignore")
from tests.envs._evcharging import charging, real
from torchrl_drigm.envs import SustainGymEnv, SustainGymWrapper
try:
    SustainGymEnv()
except ImportError as error:
    print(error)
print(SustainGymWrapper(charging(real("jpl"))).reset()["agents", "observation"].shape)
"""


def test_does_not_ask_for_the_building_extra(python):
    done = python("-c", WITHOUT_PVLIB, cwd=Path(__file__).parents[2])
    refusal, shape = done.stdout.splitlines() or [done.stderr, ""]
    assert 'pip install "torchrl_drigm[sustaingym]"' in refusal
    assert shape == "torch.Size([52, 40])"
