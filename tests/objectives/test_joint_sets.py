"""Sets that are joint with the reward in estimators and losses: y = sigma(r + gamma V')."""

import pytest
import torch
from tensordict import TensorDict

from tests.objectives.conftest import ENDS, ConstantDual, make_data, table_data, table_loss
from tests.objectives.single_samples import draw_steps
from tests.sets import LowestShare
from torchrl_drigm.objectives.value import RobustTD0, RobustTDLambda
from torchrl_drigm.uncertainty import (
    KL,
    ChiSquared,
    Contamination,
    CVaR,
    ForcedTotalVariation,
    TotalVariation,
)


class TestHandWorked:
    """r = 1 and V' = 10, 10, 0 at gamma = 0.5: outcomes of 6, 6 and 1."""

    def test_contamination(self):
        loss = table_loss()
        hyper = {"rho": 0.2, "worst_value": -20.0, "joint_with_reward": True}
        loss.make_value_estimator("contamination_td0", gamma=0.5, **hyper)
        data = table_data(**ENDS)
        loss(data)
        errors = [(3.0 - (0.8 * outcome - 4.0)) ** 2 for outcome in (6.0, 6.0, 1.0)]
        assert data["td_error"].flatten().tolist() == pytest.approx(errors)

    def test_total_variation_and_its_dual(self):
        """min(5, outcome) - 0.2 * 5; the dual is one of outcomes, in units of r + gamma V'."""
        loss = table_loss(dual=ConstantDual(5.0))
        loss.make_value_estimator(TotalVariation(0.2, 0.0, joint_with_reward=True), gamma=0.5)
        data = table_data(**ENDS)
        out = loss(data)
        errors = [(3.0 - y) ** 2 for y in (4.0, 4.0, 0.0)]
        assert data["td_error"].flatten().tolist() == pytest.approx(errors)
        assert out["loss_dual"].item() == pytest.approx(-8.0 / 3)

    def test_lambda_return(self):
        """G_2 = .8 * 6 - 4 = .8; G_1 = .8 (1 + .5 (.5 * 10 + .5 * .8)) - 4 = -1.04."""
        loss = table_loss()
        joint = Contamination(0.2, -20.0, joint_with_reward=True)
        loss.make_value_estimator(joint, gamma=0.5, lmbda=0.5)
        data = table_data((False, False), (False, False)).unsqueeze(0)
        loss(data)
        errors = [(3 + 1.04) ** 2, (3 - 0.8) ** 2]
        assert data["td_error"].flatten().tolist() == pytest.approx(errors)

    def test_a_reward_bound_becomes_the_worst_return(self):
        loss = table_loss()
        hyper = {"rho": 0.2, "reward_lower_bound": -10.0, "joint_with_reward": True}
        loss.make_value_estimator("contamination_td0", gamma=0.5, **hyper)
        expected = Contamination(0.2, -20.0, joint_with_reward=True)
        assert loss.value_estimator.uncertainty == expected


@pytest.mark.parametrize("terminated", [False, True])
@pytest.mark.parametrize("worst_value", [0.0, -4.0])
def test_many_steps_are_one_robust_step_after_the_other(worst_value, terminated):
    """On data of MultiStep, whose own discount is ``gamma (1 - rho)``."""
    torch.manual_seed(0)
    joint = Contamination(0.3, worst_value, joint_with_reward=True)
    rewards, bootstrap = torch.randn(5), torch.randn(1, 1)
    flag = torch.tensor([[terminated]])
    for n in range(1, 6):
        target = 0.0 if terminated else bootstrap
        for reward in rewards[:n].flip(0):
            target = joint.backup(reward + 0.9 * target)
        discount = (0.9 * 0.7) ** torch.arange(n)
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
        found = RobustTD0(joint, gamma=0.9).value_estimate(data, next_value=bootstrap)
        torch.testing.assert_close(found.flatten(), target.flatten())


@pytest.mark.parametrize("lmbda", [None, 0.7])
def test_a_set_that_moves_with_its_outcomes_is_the_same_where_the_reward_is_no_risk(lmbda):
    """A reward that is known moves the outcomes and their dual alike."""
    data, next_value, eta = make_data(4, 6), *torch.randn(2, 4, 6, 1)
    found = []
    for joint in (False, True):
        uncertainty = LowestShare(0.3, joint_with_reward=joint)
        if lmbda is None:
            estimator = RobustTD0(uncertainty, gamma=0.9)
        else:
            estimator = RobustTDLambda(uncertainty, gamma=0.9, lmbda=lmbda)
        dual = data["next", "reward"] + 0.9 * eta if joint else eta
        found.append(estimator.value_estimate(data, next_value=next_value, dual_value=dual))
    torch.testing.assert_close(*found)


SETS = [
    Contamination(0.3, -2.0),
    TotalVariation(0.3, -2.0),
    ForcedTotalVariation(0.3, -2.0),
    CVaR(0.3),
    KL(0.1),
    ChiSquared(0.1),
]


@pytest.mark.parametrize("lmbda", [None, 0.7])
@pytest.mark.parametrize("joint", [False, True], ids=["next state", "joint"])
@pytest.mark.parametrize("nominal", SETS, ids=lambda own: type(own).__name__)
def test_a_worst_value_may_be_0_in_rewards_that_are_raised(nominal, joint, lmbda):
    """Rewards raised by (1 - gamma) c raise every value by c, the worst one and duals among them.

    So a set with a worst value of -c is one with a worst value of 0 in other units, where networks
    need not learn a constant first.
    """
    gamma, c = 0.9, 2.0
    steps, next_value, numbers = make_data(4, 6), *torch.randn(2, 4, 6, 1)
    for flag in ("done", "terminated"):
        steps["next", flag] = torch.zeros(4, 6, 1, dtype=torch.bool)
    lambdas = torch.rand(4, 6, nominal.n_duals - 1) if nominal.n_duals > 1 else next_value[..., :0]
    targets = []
    for raised in (0.0, c):
        own = nominal.replace(joint_with_reward=joint)
        if own.worst_value is not None:
            own = own.replace(worst_value=own.worst_value + raised)
        data = steps.clone()
        data["next", "reward"] += (1 - gamma) * raised
        dual = torch.cat([numbers + raised, lambdas], -1) if own.n_duals else None
        kind = RobustTD0 if lmbda is None else RobustTDLambda
        estimator = kind(own, gamma=gamma, **({} if lmbda is None else {"lmbda": lmbda}))
        estimate = {"next_value": next_value + raised, "dual_value": dual}
        targets.append(estimator.value_estimate(data, **estimate))
    torch.testing.assert_close(targets[1], targets[0] + c, rtol=1e-4, atol=1e-4)


def test_the_dual_learns_the_quantile_of_reward_and_value_together():
    """V' is certain, 10, and a failure of probability 0.2 costs 8 at once: outcomes of 6 and -2."""

    class TableDual(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.eta = torch.nn.Parameter(torch.zeros(1, 1))

        def forward(self, state, action):
            return self.eta[state.squeeze(-1).long()]

    loss = table_loss(dual=TableDual(), n_agents=1, log_values=True)
    joint = LowestShare(0.5, joint_with_reward=True)
    loss.make_value_estimator(joint, gamma=0.5)
    (eta,) = loss.dual_network_params.values(True, True)
    optimizer = torch.optim.Adam([eta], lr=0.1)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.001, 400)
    value, cost = torch.tensor([[10.0]]), torch.tensor([[1.0, -7.0]])
    for _ in range(400):
        data, failing = draw_steps(value, torch.ones(1, 1), 256), torch.tensor([[0.8, 0.2]])
        drawn = torch.multinomial(failing, 256, replacement=True)
        data["next", "reward"] = cost.gather(1, drawn).T
        losses = loss(data)
        losses["loss_dual"].backward()
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
    outcomes, probs = torch.tensor([6.0, -2.0]), torch.tensor([0.8, 0.2])
    exact = joint.expectation(probs, outcomes).item()  # 0.6 * 6 - 0.4 * 2
    assert exact == pytest.approx(2.8)
    sigma = joint.backup(outcomes[:, None], eta.detach().expand(2, 1)).squeeze() @ probs
    assert sigma.item() == pytest.approx(exact, rel=0.02)


def test_the_flag_can_be_changed_like_any_field():
    estimator = RobustTD0(Contamination(0.5, 0.0), gamma=0.5)
    data = table_data()
    ten = torch.full((1, 1), 10.0)
    assert estimator.value_estimate(data, next_value=ten).item() == 1.0 + 0.5 * 5.0
    estimator.uncertainty = estimator.uncertainty.replace(joint_with_reward=True)
    assert estimator.value_estimate(data, next_value=ten).item() == 0.5 * (1.0 + 0.5 * 10.0)
