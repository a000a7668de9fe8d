"""RobustQMixerLoss against numbers worked by hand, on tables of values."""

import copy

import pytest
import torch
from tensordict.nn import TensorDictModule
from torch import nn
from torchrl.modules import QValueModule, SafeSequential
from torchrl.objectives import HardUpdate

from tests.objectives.conftest import (
    ENDS,
    N_AGENTS,
    Q_OUT_KEYS,
    ConstantDual,
    make_data,
    make_mixer,
    table_data,
    table_loss,
)
from torchrl_drigm.objectives import RobustQMixerLoss


class TestHandWorked:
    """One ordinary, one truncated and one terminal transition, worked out by hand."""

    @pytest.mark.parametrize(
        ("worst_value", "targets"),
        [
            # y = 1 + 0.5 (0.8 * 10 + 0.2 v); a terminal next state is an outcome of value 0
            (0.0, (5.0, 5.0, 1.0)),
            (-20.0, (3.0, 3.0, -1.0)),
        ],
    )
    def test_contamination(self, worst_value, targets):
        loss = table_loss()
        loss.make_value_estimator("contamination_td0", gamma=0.5, rho=0.2, worst_value=worst_value)
        data = table_data(**ENDS)
        out = loss(data)
        errors = torch.tensor([(3.0 - y) ** 2 for y in targets])
        torch.testing.assert_close(data["td_error"].squeeze(-1), errors)
        torch.testing.assert_close(out["loss"], errors.mean())

    @pytest.mark.parametrize(
        ("worst_value", "eta", "targets"),
        [
            # y = 1 + 0.5 (min(eta, V') - 0.2 (eta - v)_+), V' = 10, 10, 0
            (0.0, 5.0, (3.0, 3.0, 0.5)),
            (-20.0, 10.0, (3.0, 3.0, -2.0)),
            (0.0, -4.0, (-1.0, -1.0, -1.0)),
        ],
    )
    def test_total_variation(self, worst_value, eta, targets):
        loss = table_loss(dual=ConstantDual(eta))
        loss.make_value_estimator("tv_td0", gamma=0.5, rho=0.2, worst_value=worst_value)
        data = table_data(**ENDS)
        out = loss(data)
        errors = torch.tensor([(3.0 - y) ** 2 for y in targets])
        torch.testing.assert_close(data["td_error"].squeeze(-1), errors)
        sigma = (torch.tensor(targets) - 1.0) / 0.5
        torch.testing.assert_close(out["loss_dual"], -sigma.mean())

    def test_squared_dual_loss(self):
        loss = table_loss(dual=ConstantDual(5.0), dual_loss="squared")
        loss.make_value_estimator("tv_td0", gamma=0.5, rho=0.2)
        out = loss(table_data(**ENDS))
        expected = torch.tensor([4.0, 4.0, -1.0]).square().mean()
        torch.testing.assert_close(out["loss_dual"], expected)

    def test_lambda_return(self):
        """G_2 = 1 + .5 (.8*10 - 4) = 3; G_1 = 1 + .5 (.8 (.5*10 + .5*3) - 4) = 1.6."""
        loss = table_loss()
        loss.make_value_estimator(
            "contamination_tdlambda", gamma=0.5, lmbda=0.5, rho=0.2, worst_value=-20.0
        )
        data = table_data((False, False), (False, False)).unsqueeze(0)
        loss(data)
        expected = torch.tensor([[(3 - 1.6) ** 2, 0.0]])
        torch.testing.assert_close(data["td_error"].squeeze(-1), expected)

    def test_next_action_mask(self):
        """Agent 1's action 0 (value 4) is unavailable next: it must take -1; V' = -1 + 6."""
        mask = torch.tensor([[[False, True], [True, True]]])
        available = torch.ones_like(mask)
        targets = []
        for mask_key in (None, ("agents", "action_mask")):
            for double_dqn in (False, True):
                loss = table_loss(mask_key=mask_key, double_dqn=double_dqn, log_values=True)
                loss.make_value_estimator("contamination_td0", gamma=0.5)
                data = table_data()
                data["agents", "action_mask"] = available
                data["next", "agents", "action_mask"] = mask
                targets.append(loss(data)["target_value"].item())
        assert targets == [1.0 + 0.5 * 5.0] * 4

    def test_terminal_state_without_available_actions_is_worth_zero(self):
        loss = table_loss(mask_key=("agents", "action_mask"), log_values=True)
        loss.make_value_estimator("contamination_td0", gamma=0.5)
        data = table_data((True,), (False,))
        data["agents", "action_mask"] = torch.ones(1, 2, 2, dtype=torch.bool)
        data["next", "agents", "action_mask"] = torch.zeros(1, 2, 2, dtype=torch.bool)
        assert loss(data)["target_value"].item() == 1.0

    def test_reward_lower_bound_becomes_the_worst_value(self):
        loss = table_loss()
        loss.make_value_estimator("contamination_td0", gamma=0.5, rho=0.2, reward_lower_bound=-10.0)
        assert loss.value_estimator.worst_value == -20.0


def test_double_dqn_takes_the_online_choice_at_the_target_value():
    """Online prefers action 0, target values it 1 where its own best is 5."""
    qnet = SafeSequential(
        TensorDictModule(
            nn.Linear(1, 2, bias=False), [("agents", "observation")], [("agents", "action_value")]
        ),
        QValueModule(
            action_space="categorical",
            action_value_key=("agents", "action_value"),
            out_keys=Q_OUT_KEYS,
        ),
    )
    values = {}
    for double_dqn in (True, False):
        qnet[0].module.weight.data = torch.tensor([[3.0], [2.0]])
        loss = RobustQMixerLoss(
            copy.deepcopy(qnet),
            make_mixer("vdn"),
            action_space="categorical",
            double_dqn=double_dqn,
            log_values=True,
        )
        HardUpdate(loss, value_network_update_interval=100)
        target = loss.target_local_value_network_params["module", "0", "module", "weight"]
        target.data.copy_(torch.tensor([[1.0], [5.0]]))
        loss.make_value_estimator("contamination_td0", gamma=0.5)
        data = make_data(1, terminated=0.0)
        data["agents", "observation"] = torch.ones(1, N_AGENTS, 1)
        data["agents", "action"] = torch.zeros(1, N_AGENTS, dtype=torch.long)
        data["next", "agents", "observation"] = torch.ones(1, N_AGENTS, 1)
        data["next", "reward"] = torch.zeros(1, 1)
        values[double_dqn] = loss(data)["target_value"].item()
    assert values == {True: 0.5 * N_AGENTS * 1.0, False: 0.5 * N_AGENTS * 5.0}
