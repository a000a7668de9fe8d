"""Targets of the robust estimators against the recursion that they stand for, step by step."""

import pytest
import torch
from tensordict import TensorDict

from torchrl_drigm.objectives.value import RobustTD0, contamination_backup
from torchrl_drigm.uncertainty import Contamination

RHO = 0.3


@pytest.mark.parametrize("gamma", [0.9, 1.0])
@pytest.mark.parametrize("worst_value", [-4.0, 0.0, 2.0])
@pytest.mark.parametrize("rho", [0.0, RHO, 1.0])
def test_many_steps_are_one_robust_step_after_the_other(rho, worst_value, gamma):
    """On data of MultiStep, whose own discount is ``gamma (1 - rho)``."""
    torch.manual_seed(0)
    rewards, bootstrap = torch.randn(5, dtype=torch.float64), torch.randn(1, dtype=torch.float64)
    for terminated in (False, True):
        for n in range(1, 6):
            target = torch.zeros_like(bootstrap) if terminated else bootstrap
            for reward in rewards[:n].flip(0):
                target = reward + gamma * contamination_backup(target, rho, worst_value)
            discount = (gamma * (1.0 - rho)) ** torch.arange(n)
            flag = torch.tensor([[terminated]])
            data = TensorDict(
                {
                    "steps_to_next_obs": torch.tensor([[n]]),
                    "next": {
                        "reward": (discount * rewards[:n]).sum().view(1, 1),
                        "terminated": flag,
                        "done": flag,
                    },
                },
                [1],
            )
            estimator = RobustTD0(Contamination(rho, worst_value), gamma=gamma)
            received = estimator.value_estimate(data, next_value=bootstrap.view(1, 1))
            torch.testing.assert_close(received.flatten(), target, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("value", [torch.inf, -torch.inf, torch.nan])
def test_the_value_of_a_terminal_state_does_not_matter(value):
    flags = torch.tensor([[True], [False]])
    data = TensorDict(
        {"next": {"reward": torch.ones(2, 1), "terminated": flags, "done": flags}}, [2]
    )
    estimator = RobustTD0(Contamination(rho=0.5, worst_value=-4.0), gamma=0.5)
    target = estimator.value_estimate(data, next_value=torch.tensor([[value], [2.0]]))
    assert target.flatten().tolist() == [0.0, 0.5]  # 1 - 0.5 * 0.5 * 4, and 0.5 * 0.5 * 2 more
