"""RobustQMixerLoss: choice of the estimator, keys, and what is refused."""

import copy
import pickle
from dataclasses import dataclass

import pytest
import torch
from tensordict.nn import TensorDictModule
from torchrl.modules import QValueModule, SafeSequential
from torchrl.objectives import SoftUpdate
from torchrl.objectives.utils import get_value_estimator_entry

from tests.objectives.conftest import (
    N_AGENTS,
    make_data,
    make_dual,
    make_loss,
    make_mixer,
    make_qnet,
    table_data,
    table_loss,
)
from torchrl_drigm.objectives import RobustQMixerLoss, RobustValueEstimators
from torchrl_drigm.objectives.value import RobustTD0, RobustTDLambda
from torchrl_drigm.uncertainty import Contamination, Nominal, TotalVariation, UncertaintySet


class TestEstimatorChoice:
    @pytest.mark.parametrize(
        "value_type",
        ["tv_td0", "TV_TD0", RobustValueEstimators.TV_TD0],
    )
    def test_by_alias_and_member(self, value_type):
        loss = make_loss(dual_network=make_dual())
        loss.make_value_estimator(value_type, gamma=0.9, rho=0.2, worst_value=-1.0)
        estimator = loss.value_estimator
        assert isinstance(estimator, RobustTD0)
        assert estimator.uncertainty == TotalVariation(0.2, -1.0)
        assert (estimator.rho, estimator.worst_value) == (0.2, -1.0)
        assert estimator.tensor_keys.value == "chosen_action_value"
        assert loss(make_data(8))["loss"].isfinite()

    def test_default_of_the_member(self):
        loss = make_loss()
        loss.make_value_estimator(RobustValueEstimators.CONTAMINATION_TDLAMBDA)
        assert loss.value_estimator.lmbda.item() == pytest.approx(0.95)

    def test_rho_can_be_scheduled(self):
        loss = make_loss()
        loss.make_value_estimator("contamination_td0", rho=0.0)
        before = loss(make_data(8))["loss"]
        loss.value_estimator.rho = 0.5
        assert loss(make_data(8))["loss"] != before
        with pytest.raises(ValueError, match="rho must be a finite number"):
            loss.value_estimator.rho = 2.0

    def test_by_a_set(self):
        """The estimator that its alias gives, and λ-returns where ``lmbda`` is given."""
        data = make_data(8, 6)
        for uncertainty, alias in (
            (Contamination(0.3, -2.0), "contamination"),
            (TotalVariation(0.3, -2.0), "tv"),
        ):
            found = []
            for value_type, hyper in (
                (uncertainty, {}),
                (RobustTD0(uncertainty, gamma=0.9, differentiable=True), {}),
                (f"{alias}_td0", {"rho": 0.3, "worst_value": -2.0}),
            ):
                loss = make_loss(dual_network=make_dual())
                assert loss.make_value_estimator(value_type, gamma=0.9, **hyper) is loss
                assert loss.value_estimator.tensor_keys.value == "chosen_action_value"
                found.append(dict(loss(data.clone()).items()))
            torch.testing.assert_close(found, [found[0]] * 3, rtol=0, atol=0)
        by_set, by_alias = make_loss(), make_loss()
        by_set.make_value_estimator(Contamination(0.3, -2.0), gamma=0.9, lmbda=0.7)
        assert type(by_set.value_estimator) is RobustTDLambda
        hyper = {"gamma": 0.9, "lmbda": 0.7, "rho": 0.3, "worst_value": -2.0}
        by_alias.make_value_estimator("contamination_tdlambda", **hyper)
        assert torch.equal(by_set(data.clone())["loss"], by_alias(data.clone())["loss"])

    def test_no_lambda_is_one_step(self):
        loss = make_loss()
        loss.make_value_estimator(Nominal(), lmbda=None)
        assert type(loss.value_estimator) is RobustTD0

    def test_a_new_set_needs_only_itself(self):
        @dataclass(frozen=True)
        class Pessimist(UncertaintySet):
            worst: float = -4.0
            name = "pessimist"

            def affine(self):
                return 0.0, self.worst

        loss = table_loss(log_values=True)
        loss.make_value_estimator(Pessimist(-4.0), gamma=0.5)
        assert loss(table_data())["target_value"].item() == -1.0
        loss.make_value_estimator("pessimist_td0", gamma=0.5, worst=-6.0)
        assert loss(table_data())["target_value"].item() == -2.0
        assert loss.value_estimator.uncertainty == Pessimist(-6.0)
        loss.make_value_estimator("pessimist_tdlambda", gamma=0.5)
        assert isinstance(loss.value_estimator, RobustTDLambda)

    def test_an_estimator_can_be_pickled_and_copied(self):
        loss = make_loss(dual_network=make_dual())
        loss.make_value_estimator("tv_td0", rho=0.2)
        for estimator in (
            copy.deepcopy(loss.value_estimator),
            pickle.loads(pickle.dumps(RobustTD0(Contamination(0.2, -1.0), gamma=0.5))),
            pickle.loads(pickle.dumps(get_value_estimator_entry("tv_td0").cls(gamma=0.5, rho=0.2))),
        ):
            assert estimator.rho == 0.2
            estimator.rho = 0.3
            assert estimator.rho == 0.3
        assert loss.value_estimator.rho == 0.2

    def test_state_dict_round_trip(self):
        loss = make_loss(dual_network=make_dual())
        loss.make_value_estimator("tv_td0", rho=0.2)
        other = make_loss(dual_network=make_dual(), seed=5)
        other.make_value_estimator("tv_td0", rho=0.2)
        other.load_state_dict(loss.state_dict())
        data = make_data(8)
        first, second = loss(data.clone()), other(data.clone())
        for key in first.keys():  # noqa: SIM118
            assert torch.equal(first[key], second[key])


class TestKeys:
    """Every accepted key can be renamed, nested names included."""

    @pytest.mark.parametrize(
        ("name", "old", "new"),
        [
            ("reward", "reward", ("team", "reward")),
            ("done", "done", ("flags", "done")),
            ("terminated", "terminated", ("flags", "terminated")),
            ("action", ("agents", "action"), ("agents", "chosen")),
            ("priority", "td_error", ("stats", "priority")),
            ("action_mask", ("agents", "action_mask"), ("agents", "available")),
        ],
    )
    def test_data_keys(self, name, old, new):
        expected = make_loss(mixer="vdn")(make_data(8, mask=True))["loss"]
        loss = make_loss(mixer="vdn")
        loss.set_keys(**{name: new})
        data = make_data(8, mask=True)
        for td in (data, data["next"]):
            if old in td.keys(True):
                td.rename_key_(old, new)
        assert torch.equal(loss(data)["loss"], expected)
        if name == "priority":
            assert new in data.keys(True)

    def test_network_keys(self):
        qnet = make_qnet()
        qnet = SafeSequential(
            TensorDictModule(qnet[0].module, [("agents", "observation")], [("agents", "q")]),
            QValueModule(
                action_space="categorical",
                action_value_key=("agents", "q"),
                out_keys=[("agents", "action"), ("agents", "q"), ("agents", "chosen_q")],
            ),
        )
        mixer = TensorDictModule(make_mixer("vdn").module, [("agents", "chosen_q")], ["q_tot"])
        dual = TensorDictModule(make_dual(), ["world", ("agents", "action")], ["eta"])
        loss = RobustQMixerLoss(qnet, mixer, dual_network=dual, action_space="categorical")
        SoftUpdate(loss, eps=0.9)
        loss.set_keys(
            action_value=("agents", "q"),
            local_value=("agents", "chosen_q"),
            global_value="q_tot",
            dual_value="eta",
        )
        loss.make_value_estimator("tv_td0", rho=0.1)
        data = make_data(8)
        data.rename_key_("state", "world")
        assert set(loss(data).keys()) == {"loss", "loss_dual"}

    def test_dual_output_key_must_match(self):
        dual = TensorDictModule(make_dual(), ["state", ("agents", "action")], ["eta"])
        loss = make_loss(dual_network=dual)
        loss.make_value_estimator("tv_td0", rho=0.1)
        with pytest.raises(ValueError, match=r"set_keys\(dual_value=...\)"):
            loss(make_data(8))


class TestErrors:
    def test_tv_without_dual_network(self):
        tv = TotalVariation(0.1, 0.0)
        for value_type in (tv, RobustTD0(tv, gamma=0.9)):
            with pytest.raises(ValueError, match=r"dual_network=DualNetwork\(state_shape"):
                make_loss().make_value_estimator(value_type, gamma=0.9)
        with pytest.raises(ValueError, match=r"dual_network=DualNetwork\(state_shape"):
            make_loss().make_value_estimator("tv_td0", rho=0.1)

    @pytest.mark.parametrize("rho", [-0.01, 1.01, float("nan"), float("inf")])
    @pytest.mark.parametrize("value_type", ["contamination_td0", "contamination_tdlambda"])
    def test_rho(self, value_type, rho):
        with pytest.raises(ValueError, match=r"rho must be a finite number in \[0, 1\]"):
            make_loss().make_value_estimator(value_type, rho=rho)

    @pytest.mark.parametrize("gamma", [-0.1, 1.1, float("nan")])
    def test_gamma(self, gamma):
        with pytest.raises(ValueError, match=r"gamma must be a finite number in \[0, 1\]"):
            make_loss().make_value_estimator("contamination_td0", gamma=gamma)

    def test_worst_value(self):
        make = make_loss().make_value_estimator
        with pytest.raises(ValueError, match="worst_value must be a finite number"):
            make("contamination_td0", worst_value=float("-inf"))
        with pytest.raises(ValueError, match="exclude each other"):
            make("contamination_td0", worst_value=0.0, reward_lower_bound=-1.0)
        with pytest.raises(ValueError, match="needs a finite bound and gamma < 1"):
            make("contamination_td0", gamma=1.0, reward_lower_bound=-1.0)

    @pytest.mark.parametrize("value_type", ["contamination_td0", "contamination_tdlambda"])
    def test_average_rewards(self, value_type):
        with pytest.raises(TypeError, match="Use the RewardScaling transform"):
            make_loss().make_value_estimator(value_type, average_rewards=True)

    def test_unknown_alias_lists_the_known_ones(self):
        with pytest.raises(KeyError, match="tv_td0"):
            make_loss().make_value_estimator("wasserstein_td0")

    @pytest.mark.parametrize("kind", ["vdn", "qmix"])
    def test_agent_count_of_the_mixer(self, kind):
        loss = RobustQMixerLoss(
            make_qnet(), make_mixer(kind, 7), action_space="categorical", delay_value=False
        )
        with pytest.raises(ValueError, match="Build the mixer with n_agents=3"):
            loss(make_data(8))

    def test_reward_with_an_agent_dimension(self):
        data = make_data(8)
        data["next", "reward"] = torch.zeros(8, N_AGENTS, 1)
        with pytest.raises(ValueError, match=r"one team reward of shape \(8, 1\), got \(8, 3, 1\)"):
            make_loss()(data)

    def test_one_hot_actions_of_nothing(self):
        data = make_data(8, action_space="one-hot")
        data["agents", "action"][3, 1] = 0
        with pytest.raises(ValueError, match=r"agent 1 at step 3 .* took no single action"):
            make_loss(action_space="one-hot")(data)
        with pytest.raises(ValueError, match="no actions under"):
            make_loss(action_space="one-hot")(data.exclude(("agents", "action")))

    def test_one_hot_actions_that_would_broadcast(self):
        data = make_data(N_AGENTS, action_space="one-hot")
        data["agents", "action"] = data["agents", "action"][:1].expand(N_AGENTS, -1, -1)[..., :1]
        with pytest.raises(ValueError, match=r"must have the shape .* and a one_hot action space"):
            make_loss(action_space="one-hot")(data)

    @pytest.mark.parametrize("mask_key", [None, ("agents", "action_mask")])
    def test_missing_next_action_mask(self, mask_key):
        loss = table_loss(mask_key=mask_key)
        data = table_data()
        data["agents", "action_mask"] = torch.ones(1, 2, 2, dtype=torch.bool)
        with pytest.raises(ValueError, match=r"the next action mask .* is missing"):
            loss(data)

    def test_not_finite(self):
        data = make_data(8)
        data["next", "reward"][3] = float("nan")
        data["agents", "observation"][0, 0, :2] = float("inf")
        with pytest.raises(ValueError, match="not finite in") as error:
            make_loss()(data)
        assert "('next', 'reward'): 1 of 8" in str(error.value)
        assert "('agents', 'observation'): 2 of 120" in str(error.value)
        assert not make_loss(check_finite=False)(data)["loss"].isfinite()

    def test_not_finite_value(self):
        loss = make_loss()
        for p in loss.target_mixer_network_params.values(True, True):
            p.data.fill_(float("nan"))
        data = make_data(8, seed=3)
        count = (~data["next", "terminated"]).sum()  # a terminal next state is worth 0 all the same
        with pytest.raises(ValueError, match=f"'target team value': {count} of 8"):
            loss(data)

    def test_total_variation_is_one_step(self):
        loss = make_loss(dual_network=make_dual())
        loss.make_value_estimator("tv_td0", rho=0.1)
        data = make_data(8)
        data["steps_to_next_obs"] = torch.full((8, 1), 3)
        with pytest.raises(ValueError, match="one-step estimator"):
            loss(data)

    def test_constructor(self):
        with pytest.raises(ValueError, match="dual_loss must be one of"):
            make_loss(dual_loss="cubic")

    def test_standalone_tv_estimator_needs_a_dual(self):
        estimator = RobustTD0(TotalVariation(0.1, 0.0), gamma=0.9)
        with pytest.raises(ValueError, match="needs a dual value"):
            estimator.value_estimate(table_data(), next_value=torch.zeros(1, 1))

    def test_flag_shape(self):
        estimator = RobustTD0(Nominal(), gamma=0.9)
        with pytest.raises(ValueError, match="must have the shape of the next value"):
            estimator.value_estimate(table_data(), next_value=torch.zeros(1, 1, 1))
