"""A step that is masked out counts nowhere: losses, gradients and priorities do not see it."""

from itertools import product

import pytest
import torch
from torchrl.collectors.utils import split_trajectories

from tests.objectives.zoo import (
    ALGORITHMS,
    COLLECTOR,
    ESTIMATORS,
    NETWORKS,
    OTHER_SETS,
    VALID,
    B,
    T,
    data_for,
    fill,
    make_data,
    make_loss,
    make_reward_loss,
    outcome,
)
from torchrl_drigm.objectives.value import RobustTDLambda
from torchrl_drigm.uncertainty import Nominal


def assert_equal(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert value.isfinite().all(), name
        assert torch.equal(found[name], value), name


@pytest.mark.parametrize(
    "algorithm, estimator, network",
    [*product(ALGORITHMS, ESTIMATORS, NETWORKS), *product(ALGORITHMS, OTHER_SETS, ["mlp"])],
)
def test_what_is_masked_does_not_matter(algorithm, estimator, network):
    double = network.startswith("gru")
    loss = make_loss(algorithm, network, estimator, double_dqn=double, log_values=True)
    data = data_for(network)
    expected = outcome(loss, data.clone().set(COLLECTOR, VALID))
    assert (expected["td_error"][~VALID] == 0).all(), "priority of a masked step"
    for how in ("zeros", "huge", "nan"):
        assert_equal(outcome(loss, fill(data, VALID, how)), expected)


@pytest.mark.parametrize("network", ["mlp", "mlp, masks itself", "windows"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_is_masked_does_not_matter_in_unordered_transitions(algorithm, network):
    loss = make_loss(algorithm, network, "tv_td0")
    data, valid = data_for(network, 8), torch.arange(8) % 3 > 0
    expected = outcome(loss, data.clone().set(COLLECTOR, valid))
    for how in ("zeros", "huge", "nan"):
        assert_equal(outcome(loss, fill(data, valid, how)), expected)


def test_what_is_masked_does_not_matter_to_group_rewards():
    loss, data = make_reward_loss(), make_data()
    expected = outcome(loss, data.clone().set(COLLECTOR, VALID))
    for how in ("zeros", "huge", "nan"):
        assert_equal(outcome(loss, fill(data, VALID, how)), expected)
    torch.testing.assert_close(outcome(loss, data[VALID]), expected)


# PyTorch's own, when it traces an autograd function, and TensorDict's, which reads an old option
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*inline_inbuilt_nn_modules:FutureWarning")
@pytest.mark.parametrize(
    "algorithm, estimator, network",
    [
        ("vdn", "kl_tdlambda", "mlp, masks itself"),
        ("qmix", "tv_td0", "windows"),
        ("qtran", "contamination_tdlambda", "gru, masked by the loss"),
    ],
)
def test_compiled_losses_are_the_eager_ones_and_see_nothing_masked(algorithm, estimator, network):
    double = network.startswith("gru")
    loss = make_loss(algorithm, network, estimator, double_dqn=double)
    data, valid = data_for(network)[:, 3:], VALID[:, 3:]  # what is unrolled takes long
    assert loss.in_keys
    expected = outcome(loss, data.clone().set(COLLECTOR, valid))
    compiled = torch.compile(
        lambda batch: dict(loss(batch).items()), backend="eager", fullgraph=True
    )
    for how in ("zeros", "nan"):
        losses = compiled(fill(data, valid, how))
        for key, value in losses.items():
            torch.testing.assert_close(value.detach(), expected[key])


@pytest.mark.parametrize("estimator", [*ESTIMATORS, *OTHER_SETS])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_counts_is_learned_from_as_if_alone(algorithm, estimator):
    """The pieces of trajectories between masked steps, each by itself."""
    loss, data = make_loss(algorithm, "mlp", estimator), data_for("mlp")
    masked = data.clone().set(COLLECTOR, VALID)
    total = loss(masked)
    n_steps, sums = 0, dict.fromkeys(total.keys(), 0.0)
    for row in range(B):
        ends = [t for t in range(T) if VALID[row, t] and (t + 1 == T or not VALID[row, t + 1])]
        for end in ends:
            start = end
            while start > 0 and VALID[row, start - 1]:
                start -= 1
            piece = data[row : row + 1, start : end + 1].clone()
            losses = loss(piece)
            torch.testing.assert_close(
                piece["td_error"], masked[row : row + 1, start : end + 1]["td_error"]
            )
            n_steps += piece.numel()
            for key, value in losses.items():
                sums[key] += value * piece.numel()
    for key, value in total.items():
        torch.testing.assert_close(value, sums[key] / n_steps)


class TestLambdaReturns:
    """γ = 0.5, λ = 1, rewards 1, next values 4: five steps, of which two are another trajectory."""

    def steps(self):
        data = make_data(5)
        data["next", "reward"] = torch.ones(5, 1)
        for flag in ("done", "terminated", "truncated"):
            data["next", flag] = torch.zeros(5, 1, dtype=torch.bool)
        data["collector", "traj_ids"] = torch.tensor([0, 0, 0, 1, 1])
        return split_trajectories(data, done_key="done")

    def returns(self, data):
        estimator = RobustTDLambda(Nominal(), gamma=0.5, lmbda=1.0)
        return estimator.value_estimate(data, next_value=torch.full((2, 3, 1), 4.0)).squeeze(-1)

    def test_a_trajectory_before_padding_bootstraps(self):
        returns = self.returns(self.steps())
        assert returns[0].tolist() == [2.25, 2.5, 3.0]
        assert returns[1, :2].tolist() == [2.5, 3.0]

    def test_padding_may_hold_anything(self):
        data = self.steps()
        data["next", "reward"][1, 2] = float("nan")
        assert self.returns(data)[1, :2].tolist() == [2.5, 3.0]


class TestNoStepCounts:
    """An empty batch, and one masked throughout: loss 0 and gradient 0, for every loss."""

    @pytest.mark.parametrize("how", ["zeros", "nan"])
    @pytest.mark.parametrize("network", NETWORKS)
    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    def test_all_masked(self, algorithm, network, how):
        loss = make_loss(algorithm, network, "tv_td0", log_values=True)
        none = torch.zeros(B, T, dtype=torch.bool)
        found = outcome(loss, fill(data_for(network), none, how))
        assert all((value == 0).all() for value in found.values())

    @pytest.mark.parametrize("network", NETWORKS)
    @pytest.mark.parametrize("algorithm", ALGORITHMS)
    def test_empty(self, algorithm, network):
        loss = make_loss(algorithm, network, "tv_td0", log_values=True)
        data = data_for(network)[:0]
        assert set(loss(data).keys()) == set(loss.out_keys)
        assert data["td_error"].shape == (0, T, 1)
        assert all((value == 0).all() for value in outcome(loss, data).values())

    @pytest.mark.parametrize("empty", [False, True], ids=["all masked", "empty"])
    def test_group_rewards(self, empty):
        none = torch.zeros(B, T, dtype=torch.bool)
        data = make_data()[:0] if empty else fill(make_data(), none, "nan")
        assert all((value == 0).all() for value in outcome(make_reward_loss(), data).values())

    def test_a_mask_and_burn_in_that_leave_nothing(self):
        loss = make_loss("qmix", "gru, masked by the loss", burn_in=2)
        data = data_for("gru, masked by the loss")
        data[COLLECTOR] = (torch.arange(T) < 2).expand(B, T)
        assert loss(data)["loss"] == 0


class TestMask:
    def test_of_another_shape(self):
        data = make_data(masks=False)
        data[COLLECTOR] = torch.ones(B, T, 2, dtype=torch.bool)
        for loss in (make_loss("vdn"), make_loss("qtran"), make_reward_loss()):
            with pytest.raises(ValueError, match="must have one entry per step, shape"):
                loss(data)

    @pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.float32])
    def test_of_another_type(self, dtype):
        data = make_data(masks=False)
        for loss in (make_loss("vdn"), make_loss("qtran"), make_reward_loss()):
            expected = outcome(loss, data.clone().set(COLLECTOR, VALID))
            assert_equal(outcome(loss, data.clone().set(COLLECTOR, VALID.to(dtype))), expected)

    def test_with_other_numbers(self):
        data = make_data(masks=False)
        data[COLLECTOR] = torch.full((B, T), 0.5)
        with pytest.raises(ValueError, match=r"must hold True and False, or 0 and 1, got 0.5"):
            make_loss("vdn")(data)

    def test_standardised_rewards_are_refused(self):
        loss = make_loss("vdn")
        loss.make_value_estimator("td0", gamma=0.9, average_rewards=True)
        data = make_data(masks=False).set(COLLECTOR, VALID)
        with pytest.raises(ValueError, match="standardises rewards over masked steps"):
            loss(data)
