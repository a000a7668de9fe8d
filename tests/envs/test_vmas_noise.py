"""Noise on VMAS's actuators: how large it is, and that without it nothing changes."""

import pytest
import torch
from torchrl.envs import VmasEnv, check_env_specs

from torchrl_drigm.envs import NoisyVmasEnv

pytestmark = pytest.mark.vmas
pytest.importorskip("vmas", reason='needs vmas: pip install "torchrl_drigm[vmas]"')

TEAM = {"scenario": "navigation", "n_agents": 3, "continuous_actions": False, "seed": 0}


def forces(env):
    """What each agent's motor does ``[B, 3, 2]`` when nobody pushes."""
    td = env.reset()
    td["agents", "action"] = torch.zeros(*env.batch_size, 3, dtype=torch.int64)
    env.step(td)
    return torch.stack([agent.action.u for agent in env.agents], 1)


@pytest.mark.parametrize("severity", [1.0, 3.0])
def test_noise_has_its_standard_deviation_for_each_agent(severity):
    env = NoisyVmasEnv(num_envs=4000, actuator_noise=0.2, severity=severity, **TEAM)
    noise = forces(env)
    assert noise.std((0, 2)).tolist() == pytest.approx([0.2 * severity] * 3, rel=0.05)
    assert noise.mean().abs() < 0.02 * severity
    assert torch.corrcoef(noise.flatten(1).T).triu(1).abs().max() < 0.1


@pytest.mark.parametrize(
    "noise", [{}, {"actuator_noise": 0.5, "severity": 0.0}], ids=["default", "severity 0"]
)
def test_without_noise_it_is_vmas_bit_for_bit(noise):
    noisy, plain = NoisyVmasEnv(num_envs=4, **noise, **TEAM), VmasEnv(num_envs=4, **TEAM)
    actions = torch.randint(9, (20, 4, 3))
    courses = []
    for env in (noisy, plain):
        env.set_seed(0)
        td, rows = env.reset(), []
        for action in actions:
            td["agents", "action"] = action
            td = env.step(td)["next"]
            rows.append(td["agents", "observation"])
        courses.append(torch.stack(rows))
    assert torch.equal(*courses)


def test_specs():
    check_env_specs(NoisyVmasEnv(num_envs=2, actuator_noise=0.2, **TEAM))


@pytest.mark.parametrize("name", ["actuator_noise", "severity"])
@pytest.mark.parametrize("value", [-0.1, float("inf"), True])
def test_what_is_no_noise_is_refused(name, value):
    with pytest.raises(ValueError, match=rf"{name}={value} must be a finite number of at least 0"):
        NoisyVmasEnv(num_envs=2, **{name: value}, **TEAM)
