"""One small test for each rule of the losses and targets, named after the rule.

Most of them on tables: values are the observations, so that every number is known.
"""

import pytest
import torch
from tensordict import TensorDict
from tensordict.nn import TensorDictModule
from torch import nn
from torchrl.modules import QValueModule, SafeSequential
from torchrl.modules.models.multiagent import VDNMixer
from torchrl.objectives import SoftUpdate

from tests.objectives import qtran
from tests.objectives.conftest import (
    Q_OUT_KEYS,
    ConstantDual,
    Table,
    make_data,
    make_loss,
    table_data,
)
from torchrl_drigm.modules import DRQN, RecurrentDRQN
from torchrl_drigm.objectives import RobustQMixerLoss
from torchrl_drigm.objectives.value import RobustTD0, RobustTDLambda
from torchrl_drigm.uncertainty import Contamination

GAMMA = 0.5
MASK, COLLECTOR = ("agents", "action_mask"), ("collector", "mask")


def team_loss(
    values, estimator="contamination_td0", hyper=None, mask_key=None, mixer=None, **kwargs
):
    """Loss of two agents whose values are added up, without adversary unless ``hyper`` says so."""
    greedy = QValueModule(
        action_space="categorical",
        action_value_key=("agents", "action_value"),
        action_mask_key=mask_key,
        out_keys=Q_OUT_KEYS,
    )
    mixer = mixer or TensorDictModule(
        VDNMixer(n_agents=2, device="cpu"),
        [("agents", "chosen_action_value")],
        ["chosen_action_value"],
    )
    agents = SafeSequential(values, greedy)
    loss = RobustQMixerLoss(agents, mixer, action_space="categorical", log_values=True, **kwargs)
    SoftUpdate(loss, tau=0.1)
    return loss.make_value_estimator(estimator, gamma=GAMMA, **(hyper or {}))


def table_loss(*args, target_scale=1.0, **kwargs):
    """Values that are the observations, ``target_scale`` times as large by the target networks."""
    table = TensorDictModule(Table(), [("agents", "observation")], [("agents", "action_value")])
    loss = team_loss(table, *args, **kwargs)
    for scale in loss.target_local_value_network_params.values(True, True):
        scale.data.fill_(target_scale)
    return loss


def steps(*rewards, **flags):
    """Transitions of predicted value 3 and next value 10, whatever is done next."""
    n = len(rewards)
    flags = {name: (flags.get(name, False),) * n for name in ("terminated", "truncated")}
    data = table_data(**flags)
    data["next", "agents", "observation"] = torch.tensor([[4.0], [6.0]]).expand(n, 2, 2).clone()
    data["next", "reward"] = torch.tensor(rewards).view(n, 1)
    return data


def target_of(data, *args, **kwargs):
    """Mean TD target."""
    return pytest.approx(table_loss(*args, **kwargs)(data)["target_value"].item())


class TestTarget:
    def test_a_terminal_next_state_does_not_bootstrap(self):
        data = steps(1.0, terminated=True)
        assert target_of(data) == 1.0
        estimator = RobustTD0(Contamination(rho=0.0, worst_value=0.0), gamma=GAMMA)
        assert estimator.value_estimate(data, next_value=torch.full((1, 1), 10.0)).item() == 1.0

    def test_a_truncated_next_state_bootstraps(self):
        assert target_of(steps(1.0, truncated=True)) == 1.0 + 0.5 * 10.0

    def test_a_terminal_next_state_needs_no_legal_action(self):
        """Its value is NaN, which no product with 0 removes; with any estimator."""
        data = steps(1.0, terminated=True)
        data[MASK] = torch.ones(1, 2, 2, dtype=torch.bool)
        data["next", *MASK] = torch.zeros(1, 2, 2, dtype=torch.bool)
        assert target_of(data, "td0") == 1.0

    def test_the_adversary_acts_on_a_terminal_next_state_too(self):
        hyper = {"rho": 0.2, "worst_value": -20.0}
        assert target_of(steps(1.0, terminated=True), hyper=hyper) == 1.0 + 0.5 * 0.2 * -20.0

    def test_next_actions_are_the_greedy_ones(self):
        data = steps(1.0)
        data["next", "agents", "observation"] = torch.tensor([[[4.0, -1.0], [5.0, 6.0]]])
        assert target_of(data) == 1.0 + 0.5 * (4.0 + 6.0)

    def test_next_actions_are_legal_ones(self):
        """The two values of an agent differ, and the larger one is out of reach."""
        data = steps(1.0)
        data["next", "agents", "observation"] = torch.tensor([[[4.0, -1.0], [6.0, 6.0]]])
        data[MASK] = torch.ones(1, 2, 2, dtype=torch.bool)
        data["next", *MASK] = torch.tensor([[[False, True], [True, True]]])
        assert target_of(data) == 1.0 + 0.5 * (-1.0 + 6.0)

    def test_next_values_are_those_of_the_target_networks(self):
        assert target_of(steps(1.0), target_scale=2.0) == 1.0 + 0.5 * 20.0

    def test_predicted_values_are_those_of_the_online_networks(self):
        assert table_loss(target_scale=2.0)(steps(1.0))["pred_value"].item() == 3.0

    def test_the_mixer_reads_the_actions_that_were_taken(self):
        """Not the greedy ones, which a network that masks them writes under the same key."""

        class FirstAction(nn.Module):
            def forward(self, value, action):
                return value.sum(-2) + 10.0 * action[..., :1]

        in_keys = [("agents", "chosen_action_value"), ("agents", "action")]
        mixer = TensorDictModule(FirstAction(), in_keys, ["chosen_action_value"])
        data = steps(1.0)
        data["agents", "action"] = torch.tensor([[1, 0]])  # of value 0, where 3 is the best
        data[MASK] = data["next", *MASK] = torch.ones(1, 2, 2, dtype=torch.bool)
        assert table_loss(mask_key=MASK, mixer=mixer)(data)["pred_value"].item() == 10.0

    def test_next_values_are_mixed_by_the_target_mixer(self):
        loss, data = make_loss(mixer="qmix"), make_data(4)
        before = loss.next_team_value(data)
        loss.mixer_network_params.data.mul_(2.0)
        assert torch.equal(loss.next_team_value(data), before)

    def test_a_kept_next_value_is_taken(self):
        data = steps(1.0)
        data["next", "team_value"] = torch.full((1, 1), 40.0)
        assert target_of(data) == 1.0 + 0.5 * 40.0

    def test_no_gradient_flows_into_the_target(self):
        loss, data = make_loss(mixer="qmix"), make_data(4)
        data["state"].requires_grad_()
        data["next", "state"].requires_grad_()
        loss(data)["loss"].backward()
        assert data["state"].grad is not None and data["next", "state"].grad is None


class TestDual:
    HYPER = {"rho": 0.2, "worst_value": 0.0}  # noqa: RUF012

    def test_the_value_loss_does_not_reach_the_dual_network(self):
        dual = ConstantDual(5.0)
        table_loss("tv_td0", self.HYPER, dual_network=dual)(steps(1.0))["loss"].backward()
        assert dual.value.grad is None

    def test_the_dual_loss_is_linear_unless_squared_is_asked_for(self):
        """``-(5 - 0.2 * 5) = -4`` of each step, and its square."""
        found = [
            table_loss("tv_td0", self.HYPER, dual_network=ConstantDual(5.0), **options)(steps(1.0))
            for options in ({}, {"dual_loss": "squared"})
        ]
        assert [losses["loss_dual"].item() for losses in found] == [-4.0, 16.0]

    def test_a_dual_number_follows_the_team_value_where_the_set_asks_for_it(self):
        """Q_tot = 3 and V' = 10: η is 3 + 9 over CVaR, of 12 - 2 / (1 - 0.5) = 8, and 9 over TV."""
        found = {}
        for name, hyper in (("cvar_td0", {"rho": 0.5}), ("tv_td0", self.HYPER)):
            loss = table_loss(name, hyper, dual_network=ConstantDual(9.0))
            found[name] = loss(steps(1.0))
        assert [losses["dual_value"].item() for losses in found.values()] == [12.0, 9.0]
        assert found["cvar_td0"]["loss_dual"].item() == -8.0

    def test_the_dual_loss_does_not_reach_the_value_that_its_number_follows(self):
        loss = table_loss("cvar_td0", {"rho": 0.5}, dual_network=ConstantDual(9.0))
        loss(steps(1.0))["loss_dual"].backward()
        values = loss.local_value_network_params.values(True, True)
        assert all(param.grad is None for param in values)


class TestWhatCounts:
    """Errors are 4 and 16: targets 0 + 5 and 2 + 5 for a prediction of 3."""

    def test_the_priority_is_the_squared_error_of_each_step(self):
        data = steps(0.0, 2.0)
        table_loss()(data)
        assert data["td_error"].flatten().tolist() == [4.0, 16.0]

    def test_a_masked_step_has_priority_zero(self):
        data = steps(0.0, 2.0)
        data[COLLECTOR] = torch.tensor([True, False])
        table_loss()(data)
        assert data["td_error"][1].item() == 0.0

    def test_a_masked_step_does_not_count_in_the_mean(self):
        data = steps(0.0, 2.0, 0.0)
        data[COLLECTOR] = torch.tensor([True, True, False])
        assert table_loss()(data)["loss"].item() == (4.0 + 16.0) / 2

    def test_what_a_masked_step_holds_does_not_matter(self):
        data = steps(0.0, torch.nan)
        data[COLLECTOR] = torch.tensor([True, False])
        assert table_loss()(data)["loss"].item() == 4.0

    def test_a_lambda_return_is_cut_before_a_masked_step(self):
        """A target of 0.5 * 10, where the following return would give 0.5 * 5."""
        data = steps(0.0, 0.0).unsqueeze(0)
        data[COLLECTOR] = torch.tensor([[True, False]])
        assert target_of(data, "contamination_tdlambda", {"lmbda": 1.0}) == 5.0

    def test_a_lambda_return_of_an_estimator_alone_is_cut_there_too(self):
        data = steps(0.0, 0.0).unsqueeze(0)
        data[COLLECTOR] = torch.tensor([[True, False]])
        estimator = RobustTDLambda(Contamination(rho=0.0, worst_value=0.0), gamma=0.5, lmbda=1.0)
        returns = estimator.value_estimate(data, next_value=torch.full((1, 2, 1), 10.0))
        assert returns[0, 0].item() == 5.0

    def test_burn_in_steps_do_not_count(self):
        data = steps(0.0, 2.0).unsqueeze(0)
        assert table_loss(burn_in=1)(data)["loss"].item() == 16.0

    def test_the_data_get_the_priority_and_stay_as_they_are(self):
        """Flags of another type too, which the loss converts for itself."""
        data = steps(0.0, 2.0)
        data["next", "done"] = data["next", "done"].float()
        before = data.clone()
        table_loss()(data)
        assert (data.exclude("td_error") == before).all()
        assert data["next", "done"].dtype == torch.float32
        assert set(data.keys(True, True)) - set(before.keys(True, True)) == {"td_error"}


class TestTime:
    """With recurrent agents: which steps of a sequence another one depends on."""

    @pytest.fixture
    def loss(self):
        torch.manual_seed(0)
        drqn = DRQN(4, 3, n_agents=2, hidden_size=6, core="gru", share_params=True)
        return team_loss(RecurrentDRQN(drqn))

    @pytest.fixture
    def data(self):
        torch.manual_seed(1)
        flags = torch.zeros(1, 4, 1, dtype=torch.bool)

        def step():
            previous = torch.randint(3, (1, 4, 2))
            return {"observation": torch.randn(1, 4, 2, 4), "previous_action": previous}

        agents = {**step(), "action": torch.randint(3, (1, 4, 2))}
        following = {"agents": step(), "is_init": flags.clone(), "reward": torch.randn(1, 4, 1)}
        following |= {"done": flags, "terminated": flags.clone()}
        return TensorDict({"agents": agents, "is_init": flags.clone(), "next": following}, [1, 4])

    @staticmethod
    def reaching_the_last_step(loss, data):
        """Which observations the error of the last step depends on."""
        data["agents", "observation"].requires_grad_()
        loss.burn_in = 3
        loss(data)["loss"].backward()
        return (data["agents", "observation"].grad[0] != 0).any(-1).any(-1).tolist()

    def test_burn_in_steps_warm_up_the_state(self, loss, data):
        assert self.reaching_the_last_step(loss, data) == [True] * 4

    def test_a_state_does_not_cross_a_first_step(self, loss, data):
        data["is_init"][0, 2] = True
        assert self.reaching_the_last_step(loss, data) == [False, False, True, True]

    def test_a_state_does_not_cross_a_masked_step(self, loss, data):
        data[COLLECTOR] = torch.tensor([[True, False, True, True]])
        assert self.reaching_the_last_step(loss, data) == [False, False, True, True]

    def test_a_next_step_goes_on_from_this_one_whatever_its_flag_says(self, loss, data):
        before = loss.next_team_value(data)
        data["next", "is_init"] = torch.ones(1, 4, 1, dtype=torch.bool)
        assert torch.equal(loss.next_team_value(data), before)
        data["agents", "observation"][0, 3] += 1.0
        assert not torch.isclose(loss.next_team_value(data)[0, 3], before[0, 3])


class TestQTRAN:
    """Joint values (00, 01, 10, 11) = (1, 4, 7, 2), sums (2, 5, 1, 4), baseline 0.5."""

    def losses(self, action):
        loss = qtran.table_loss().make_value_estimator("contamination_td0", gamma=GAMMA)
        return loss, loss(qtran.table_data(action))

    def test_a_sum_above_the_joint_value_costs_nothing(self):
        assert self.losses([0, 0])[1]["loss_nopt"].item() == 0.0  # 2 > 1 - 0.5

    def test_a_sum_below_the_joint_value_costs_its_square(self):
        assert self.losses([1, 0])[1]["loss_nopt"].item() == (1.0 - 7.0 + 0.5) ** 2

    def test_the_greedy_sum_costs_its_distance_to_the_joint_value(self):
        assert self.losses([1, 0])[1]["loss_opt"].item() == (5.0 - 4.0 + 0.5) ** 2

    @pytest.mark.parametrize("name", ["loss_opt", "loss_nopt"])
    def test_sums_follow_the_joint_value_and_not_it_them(self, name):
        loss, losses = self.losses([1, 0])
        joint = loss.joint_value_network_params.values(True, True)
        joint = [p for p in joint if isinstance(p, nn.Parameter)]
        assert torch.autograd.grad(losses[name], joint, allow_unused=True) == (None,)
