"""Nothing that is not finite, not legal or not there passes in silence, in any loss."""

import pytest
import torch
from torchrl.objectives.value import TD0Estimator

from tests.objectives.conftest import N_ACTIONS, N_AGENTS
from tests.objectives.zoo import (
    ALGORITHMS,
    COLLECTOR,
    MASK,
    VALID,
    B,
    T,
    data_for,
    make_data,
    make_loss,
    make_reward_loss,
    outcome,
)
from torchrl_drigm.objectives.value import RobustTDLambda
from torchrl_drigm.uncertainty import Nominal

MASKED = ["mlp, masked by the loss", "mlp, masks itself", "windows, masks itself"]
SETS = ["contamination_td0", "tv_td0", "td0"]
LOSSES = [*ALGORITHMS, "group rewards"]


def make(algorithm, *args, **kwargs):
    return (
        make_reward_loss()
        if algorithm == "group rewards"
        else make_loss(algorithm, *args, **kwargs)
    )


def without_end(data):
    for flag in ("done", "terminated", "truncated"):
        data["next", flag] = torch.zeros_like(data["next", flag])
    return data


@pytest.mark.parametrize("network", MASKED)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
class TestLegalActions:
    @pytest.mark.parametrize("estimator", SETS)
    def test_an_agent_without_a_legal_next_action_is_named(self, algorithm, network, estimator):
        loss = make(algorithm, network, estimator)
        data = without_end(data_for(network))
        data[("next", *MASK)][1, 2, 1] = False
        with pytest.raises(ValueError, match=r"agent 1 at step \(1, 2\) .* no legal next action"):
            loss(data)

    @pytest.mark.parametrize("estimator", [*SETS, "tdlambda"])
    def test_on_a_terminal_or_masked_step_it_does_not_matter(self, algorithm, network, estimator):
        loss = make(algorithm, network, estimator)
        data = without_end(data_for(network))
        data["next", "terminated"][1, 2] = data["next", "done"][1, 2] = True
        data[COLLECTOR] = torch.ones(B, T, dtype=torch.bool)
        data[COLLECTOR][2, 5] = False
        expected = outcome(loss, data.clone())
        data[("next", *MASK)][1, 2] = data[("next", *MASK)][2, 5] = data[MASK][2, 5] = False
        found = outcome(loss, data)
        torch.testing.assert_close(found, expected)

    def test_by_way_of_a_kept_next_value(self, algorithm, network):
        loss = make(algorithm, network)
        data = without_end(data_for(network))
        data[("next", *MASK)][0, 3, 2] = False
        value = loss.next_team_value(data)
        assert value.isnan().nonzero().tolist() == [[0, 3, 0]]
        data["next", "team_value"] = value
        with pytest.raises(ValueError, match=r"agent 2 at step \(0, 3\)"):
            loss(data)

    def test_in_unordered_transitions(self, algorithm, network):
        data = without_end(data_for(network, 8))
        data[("next", *MASK)][5, 0] = False
        with pytest.raises(ValueError, match="agent 0 at step 5 of the batch"):
            make(algorithm, network)(data)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_an_action_that_the_network_forbids_is_named(algorithm):
    loss, data = make(algorithm, "mlp, masks itself"), data_for("mlp, masks itself")
    data[MASK][1, 4, 2] = torch.arange(N_ACTIONS) != data["agents", "action"][1, 4, 2]
    with pytest.raises(ValueError, match=r"agent 2 at step \(1, 4\) .* took an action that is not"):
        loss(data)


@pytest.mark.parametrize("algorithm", LOSSES)
class TestFinite:
    @pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e30])
    def test_a_loss_that_is_not_finite_names_its_cause(self, algorithm, bad):
        data = make_data(masks=False)
        data["next", "reward"][0, 1] = bad
        message = "overflowed" if bad == 1e30 else r"\('next', 'reward'\): 1 of 18|'reward': 1 of"
        with pytest.raises(ValueError, match=message):
            make(algorithm)(data)

    def test_large_entries_whose_sum_overflows_are_no_fault(self, algorithm):
        data = make_data(masks=False)
        loss = make(algorithm)
        key = "state" if algorithm == "group rewards" else ("agents", "observation")
        data[key][0, 0, ..., :2] = 3e38
        if algorithm == "group rewards":
            loss.reward_model.module.state_scale[:2] = 1e38  # brought into range by the network
        else:
            for part in (loss.local_value_network_params, loss.target_local_value_network_params):
                part["module", "0", "module", "0", "weight"].data[:, :2] = 0.0
        assert all(value.isfinite() for value in loss(data).values())


class TestMissing:
    @pytest.mark.parametrize("algorithm", LOSSES)
    def test_team_reward(self, algorithm):
        data = make_data(masks=False)
        data["next", "agents", "reward"] = torch.zeros(B, T, N_AGENTS, 1)
        del data["next", "reward"]
        with pytest.raises(
            ValueError,
            match=r"there is \('next', 'agents', 'reward'\).*sum",
        ):
            make(algorithm)(data)

    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    def test_done(self, algorithm):
        data = make_data(masks=False)
        del data["next", "done"]
        with pytest.raises(ValueError, match=r"no flag under \('next', 'done'\).*set_keys\(done="):
            make(algorithm)(data)

    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    def test_terminated_is_done(self, algorithm):
        data = make_data(masks=False)
        data["next", "terminated"] = data["next", "done"].clone()
        expected = outcome(make(algorithm), data.clone())
        del data["next", "terminated"]
        torch.testing.assert_close(outcome(make(algorithm), data), expected)

    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    def test_actions(self, algorithm):
        data = make_data(masks=False)
        del data["agents", "action"]
        with pytest.raises(ValueError, match=r"no actions under .*set_keys\(action=...\)"):
            make(algorithm)(data)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
class TestTypes:
    """Converted where they mean the same, refused by name where they do not."""

    @pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.float32])
    @pytest.mark.parametrize("network", MASKED)
    def test_masks_and_flags(self, algorithm, network, dtype):
        data = data_for(network)
        expected = outcome(make(algorithm, network, "tv_td0"), data.clone())
        for key in (MASK, ("next", *MASK), ("next", "done"), ("next", "terminated")):
            data[key] = data[key].to(dtype)
        torch.testing.assert_close(outcome(make(algorithm, network, "tv_td0"), data), expected)

    @pytest.mark.parametrize(
        "key", [MASK, ("next", *MASK), ("next", "done"), ("next", "terminated")], ids=str
    )
    def test_other_numbers_are_refused(self, algorithm, key):
        data = data_for(MASKED[0])
        data[key] = data[key].float() * 0.5
        with pytest.raises(ValueError, match=r"must hold True and False, or 0 and 1, got 0.5"):
            make(algorithm, MASKED[0])(data)

    @pytest.mark.parametrize("network", ["mlp", "windows", "lstm, masks itself"])
    @pytest.mark.parametrize("change", ["int32", "one index", "both"])
    def test_actions(self, algorithm, network, change):
        data = data_for(network)
        expected = outcome(make(algorithm, network, "tv_td0"), data.clone())
        action = data["agents", "action"]
        action = action if change == "one index" else action.to(torch.int32)
        data["agents", "action"] = action if change == "int32" else action.unsqueeze(-1)
        torch.testing.assert_close(outcome(make(algorithm, network, "tv_td0"), data), expected)

    def test_actions_of_no_use(self, algorithm):
        data = make_data(masks=False)
        action = data["agents", "action"]
        one_hot = torch.nn.functional.one_hot(action, N_ACTIONS)
        for wrong, message in [
            (action.float(), "must hold the indices of categorical actions, got torch.float32"),
            (one_hot, "must be one index per agent.*action_space='one-hot'"),
            (action[..., None, None], "must be one action of each agent"),
        ]:
            data["agents", "action"] = wrong
            with pytest.raises(ValueError, match=message):
                make(algorithm)(data)

    @pytest.mark.parametrize("network", ["mlp", "mlp, masks itself", "windows"])
    def test_actions_of_fewer_agents(self, algorithm, network):
        data = data_for(network)
        data["agents", "action"] = data["agents", "action"][..., :2]
        with pytest.raises(ValueError, match=r"must have the shape|expected action of shape"):
            make(algorithm, network)(data)

    @pytest.mark.parametrize("flag", ["done", "terminated"])
    def test_flags_of_another_shape(self, algorithm, flag):
        data = make_data(masks=False)
        data["next", flag] = data["next", flag].squeeze(-1)
        with pytest.raises(ValueError, match="must have the shape of the team reward"):
            make(algorithm)(data)

    @pytest.mark.parametrize("step", ["now", "next"])
    @pytest.mark.parametrize("network", MASKED)
    def test_masks_of_another_shape(self, algorithm, network, step):
        """As many samples as agents: a mask without agents could be read along them."""
        data = data_for(network, N_AGENTS)
        key = MASK if step == "now" else ("next", *MASK)
        data[key] = torch.ones(N_AGENTS, N_ACTIONS, dtype=torch.bool)
        loss = make(algorithm, network)
        with pytest.raises(ValueError, match="must have the shape of the action values"):
            loss(data)


class TestLambdaReturns:
    @pytest.mark.parametrize("lmbda", [-0.1, 1.1, float("nan")])
    def test_lmbda(self, lmbda):
        with pytest.raises(ValueError, match=r"lmbda must be a finite number in \[0, 1\]"):
            make("vdn").make_value_estimator("contamination_tdlambda", lmbda=lmbda)

    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    def test_single_transitions_have_no_following_step(self, algorithm):
        loss = make(algorithm, "windows", "contamination_tdlambda")
        with pytest.raises(ValueError, match=r"needs sequences.*in any order have no following"):
            loss(make_data(8, masks=False))

    def test_a_trajectory_alone_names_its_dimension(self):
        loss = make("vdn", "mlp", "contamination_tdlambda")
        data = make_data(8, masks=False)
        expected = outcome(loss, data.unsqueeze(0).clone())
        data.names = ["time"]
        torch.testing.assert_close(outcome(loss, data)["loss"], expected["loss"])

    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    def test_data_of_a_multi_step_transform(self, algorithm):
        loss = make(algorithm, "mlp", "contamination_tdlambda")
        data = make_data(masks=False)
        data["steps_to_next_obs"] = torch.full((B, T, 1), 3)
        with pytest.raises(ValueError, match="Remove MultiStep, or take one-step targets"):
            loss(data)

    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    @pytest.mark.parametrize("estimator", ["td1", "tdlambda"])
    def test_torchrls_own_on_data_of_a_multi_step_transform(self, algorithm, estimator):
        data = make_data(masks=False)
        data["steps_to_next_obs"] = torch.full((B, T, 1), 3)
        with pytest.raises(ValueError, match="Remove MultiStep, or take a one-step estimator"):
            make(algorithm, "mlp", estimator)(data)

    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    @pytest.mark.parametrize("estimator", ["td1", "tdlambda"])
    def test_torchrls_own_take_transitions_for_time_and_say_so(self, algorithm, estimator):
        loss, data = make(algorithm, "windows", estimator), make_data(8, masks=False)
        with pytest.warns(UserWarning, match="takes a batch of 8 for one trajectory in time"):
            loss(data)
        data.names = ["time"]
        loss(data)

    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    def test_discounts_of_torchrls_own(self, algorithm):
        loss = make(algorithm)
        for name, value in (("gamma", 1.5), ("gamma", -0.1), ("lmbda", 1.5)):
            hyper = {"gamma": 0.9, name: value}
            with pytest.raises(ValueError, match=f"{name} must be a finite number in"):
                loss.make_value_estimator("tdlambda", **hyper)
        with pytest.raises(ValueError, match="gamma must be a finite number in"):
            loss.make_value_estimator(TD0Estimator(gamma=1.5, value_network=None))

    @pytest.mark.parametrize("key", [None, "counts"])
    def test_the_mask_that_the_loss_names_is_the_only_one(self, key):
        """The estimator looks for none beside it."""
        found = []
        for estimator in ("contamination_tdlambda", "tdlambda"):
            loss = make("vdn", "mlp", estimator)
            if estimator != "tdlambda":
                hyper = {"gamma": 0.9, "lmbda": 0.7, "rho": 0.0}
                loss.make_value_estimator(estimator, **hyper)
            loss.loss_mask_key = key
            data = make_data(masks=False).set(COLLECTOR, VALID)
            data["counts"] = VALID.flip(0)
            found.append(outcome(loss, data))
        torch.testing.assert_close(*found)


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.float32])
def test_flags_of_an_estimator_by_itself(dtype):
    estimator = RobustTDLambda(Nominal(), gamma=0.5, lmbda=1.0)
    data = make_data(masks=False)
    expected = estimator.value_estimate(data, next_value=torch.ones(B, T, 1))
    for flag in ("done", "terminated"):
        data["next", flag] = data["next", flag].to(dtype)
    assert torch.equal(estimator.value_estimate(data, next_value=torch.ones(B, T, 1)), expected)


def test_qtran_needs_legal_actions_now():
    loss, data = make("qtran", "mlp, masked by the loss"), data_for("mlp, masked by the loss")
    data[MASK][0, 2, 1] = False
    with pytest.raises(ValueError, match=r"agent 1 at step \(0, 2\) .* has no legal action"):
        loss(data)


class TestGroupRewards:
    def test_missing(self):
        for key in ("group", "state", ("agents", "action")):
            data = make_data(masks=False).exclude(key)
            with pytest.raises(ValueError, match=r"the data lacks .*set_keys\(state="):
                make_reward_loss()(data)

    def test_types(self):
        data = make_data(masks=False)
        expected = outcome(make_reward_loss(), data.clone())
        data["group"] = data["group"].to(torch.int32)
        data["agents", "action"] = data["agents", "action"].to(torch.int32).unsqueeze(-1)
        torch.testing.assert_close(outcome(make_reward_loss(), data), expected)


@pytest.mark.parametrize("estimator", ["cvar_td0", "kl_td0", "chi2_td0", "cvar_tdlambda"])
def test_only_total_variation_has_a_squared_dual_loss(estimator):
    with pytest.raises(ValueError, match=r'dual_loss="squared" is .* total variation'):
        make_loss("qmix", estimator=estimator, dual_loss="squared")
    make_loss("qmix", estimator="tv_td0", dual_loss="squared")
