"""One small test for each rule of the sets, named after the rule; numbers by hand.

Outcomes 0, 1 and 3 of probability 1/4, 1/2 and 1/4: a mean of 1.25.
"""

import math

import pytest
import torch

from torchrl_drigm.uncertainty import (
    KL,
    ChiSquared,
    Contamination,
    CVaR,
    Nominal,
    TotalVariation,
)

PROBS, VALUES = torch.tensor([0.25, 0.5, 0.25]), torch.tensor([0.0, 1.0, 3.0])
SETS = pytest.mark.parametrize("cls", [Contamination, TotalVariation])
ON_THE_SUPPORT = pytest.mark.parametrize("cls", [CVaR, KL, ChiSquared])


class TestContamination:
    def test_its_adversary_gets_a_share_of_every_outcome(self):
        ball = Contamination(rho=0.5, worst_value=-1.0)
        assert ball.worst_kernel(PROBS, VALUES).tolist() == [0.125, 0.25, 0.125, 0.5]

    def test_the_rest_is_the_nominal_expectation(self):
        ball = Contamination(rho=0.5, worst_value=-2.0)
        assert ball.expectation(PROBS, VALUES).item() == 0.5 * 1.25 + 0.5 * -2.0

    def test_its_adversary_must_act_where_that_is_no_harm(self):
        ball = Contamination(rho=0.5, worst_value=10.0)
        assert ball.expectation(PROBS, VALUES).item() == 0.5 * 1.25 + 0.5 * 10.0

    def test_one_sample_is_worth_its_share_and_that_of_the_worst_value(self):
        ball = Contamination(rho=0.25, worst_value=-8.0)
        assert ball.backup(torch.tensor([[4.0]])).item() == 0.75 * 4.0 + 0.25 * -8.0


class TestTotalVariation:
    def test_the_best_outcomes_go_first(self):
        ball = TotalVariation(rho=0.25)
        assert ball.worst_kernel(PROBS, VALUES)[2] == 0.0
        assert ball.expectation(PROBS, VALUES) <= 1.25 - 0.25 * 3.0

    def test_no_more_than_rho_is_moved(self):
        ball = TotalVariation(rho=0.25)
        gone = (PROBS - ball.worst_kernel(PROBS, VALUES)).clamp_min(0.0).sum()
        assert gone <= 0.25
        assert ball.expectation(PROBS, VALUES) >= 1.25 - 0.25 * 3.0

    def test_what_is_worse_than_the_fail_state_stays(self):
        ball = TotalVariation(rho=1.0, worst_value=2.0)
        assert ball.expectation(PROBS, VALUES).item() == 1.25 - 0.25 * (3.0 - 2.0)

    def test_one_sample_is_worth_no_more_than_its_dual_number(self):
        ball = TotalVariation(rho=0.0, worst_value=0.0)
        found = ball.backup(torch.tensor([[10.0], [1.0]]), torch.tensor([[6.0], [6.0]]))
        assert found.flatten().tolist() == [6.0, 1.0]

    def test_a_dual_number_costs_rho_times_its_height_above_the_worst_value(self):
        ball = TotalVariation(rho=0.5, worst_value=-4.0)
        assert ball.backup(torch.tensor([[6.0]]), torch.tensor([[6.0]])).item() == 6.0 - 0.5 * 10.0

    def test_a_dual_number_below_the_worst_value_costs_nothing(self):
        ball = TotalVariation(rho=0.5, worst_value=0.0)
        assert ball.backup(torch.tensor([[6.0]]), torch.tensor([[-6.0]])).item() == -6.0

    def test_the_dual_network_minimises_minus_the_backup(self):
        ball = TotalVariation(rho=0.5, worst_value=0.0)
        objective = ball.dual_objective(torch.tensor([[6.0]]), torch.tensor([[4.0]]))
        assert objective.item() == -(4.0 - 0.5 * 4.0)


class TestCVaR:
    def test_the_best_outcomes_are_left_out(self):
        assert CVaR(rho=0.25).worst_kernel(PROBS, VALUES)[2] == 0.0

    def test_the_rest_is_more_likely_by_the_factor_alone(self):
        assert CVaR(rho=0.5).worst_kernel(PROBS, VALUES).tolist() == [0.5, 0.5, 0.0]

    def test_one_sample_below_its_dual_number_counts_by_the_factor(self):
        found = CVaR(rho=0.75).backup(torch.tensor([[1.0]]), torch.tensor([[6.0]]))
        assert found.item() == 6.0 - 5.0 / 0.25

    def test_one_sample_above_its_dual_number_is_worth_the_number(self):
        found = CVaR(rho=0.75).backup(torch.tensor([[9.0]]), torch.tensor([[6.0]]))
        assert found.item() == 6.0

    def test_nothing_is_left_at_one(self):
        message = r"in \[0, 1\) for CVaR, got 1.* at 1 only the essential minimum would remain"
        with pytest.raises(ValueError, match=message):
            CVaR(rho=1.0)
        with pytest.raises(ValueError, match=message):
            CVaR(rho=0.5).replace(rho=1)

    def test_no_outcome_gains_more_than_the_factor(self):
        half = torch.tensor([0.5, 0.5])
        assert CVaR(rho=0.25).contains(half, torch.tensor([0.66, 0.34]))
        assert not CVaR(rho=0.25).contains(half, torch.tensor([0.67, 0.33]))


class TestDivergenceBalls:
    """lam is softplus(0) = log 2 over a factor that is 1 at a radius of 1/2, and of 1/4 for χ²."""

    def test_kl_is_exponential(self):
        lam = math.log(2)
        found = KL(rho=0.5).backup(torch.tensor([[1.0]]), torch.tensor([[1.0 + lam, 0.0]]))
        assert found.item() == pytest.approx(1.0 + lam - lam * (math.e - 1) - 0.5 * lam, abs=1e-6)

    def test_chi2_is_quadratic(self):
        lam = math.log(2)
        found = ChiSquared(0.25).backup(torch.tensor([[1.0]]), torch.tensor([[1.0 + lam, 0.0]]))
        assert found.item() == pytest.approx(1.0 - 0.25 * lam - 0.25 * lam, abs=1e-6)

    def test_far_above_the_number_chi2_is_constant(self):
        lam = math.log(2)
        found = ChiSquared(0.25).backup(torch.tensor([[9.0]]), torch.tensor([[1.0, 0.0]]))
        assert found.item() == pytest.approx(1.0 + lam - 0.25 * lam, abs=1e-6)

    @pytest.mark.parametrize("cls, most", [(KL, 8.0515), (ChiSquared, 4.1464)])
    def test_far_below_the_number_the_density_is_bounded(self, cls, most):
        """By what the ball leaves to an outcome of probability 1/100: 1 + √(0.1 * 99) for χ²."""
        duals = torch.tensor([[1e3, 0.0]])
        value = torch.tensor([[0.0]], requires_grad=True)
        cls(rho=0.1).backup(value, duals).backward()
        assert value.grad.item() == pytest.approx(most, rel=1e-3)

    @pytest.mark.parametrize("cls", [KL, ChiSquared])
    def test_an_outcome_as_probable_never_reaches_the_bound(self, cls):
        probs, values = torch.tensor([0.01, 0.99]).double(), torch.tensor([0.0, 1.0])
        value, duals = torch.tensor([[0.0]], requires_grad=True), torch.tensor([[1e3, 0.0]])
        cls(rho=0.1).backup(value, duals).backward()
        density = cls(rho=0.1).worst_kernel(probs, values)[0] / 0.01
        assert density.item() == pytest.approx(value.grad.item(), rel=1e-3)

    @pytest.mark.parametrize("cls", [KL, ChiSquared])
    def test_both_dual_numbers_are_in_units_of_return(self, cls):
        """For a small radius the best second number is a standard deviation: √(1/4) here."""
        values = torch.tensor([[[0.0], [1.0]]], dtype=torch.float64)
        spreads = torch.linspace(0.1, 1.0, 91, dtype=torch.float64)
        numbers = torch.log(torch.expm1(spreads))  # softplus of them
        duals = torch.stack([torch.full_like(numbers, 0.5), numbers], -1)[:, None].expand(-1, 2, 2)
        found = cls(rho=1e-4).backup(values.expand(91, 2, 1), duals).mean((1, 2))
        assert spreads[found.argmax()].item() == pytest.approx(0.5, abs=0.02)


@ON_THE_SUPPORT
class TestOnTheSupport:
    """What CVaR, KL and χ² share: nothing comes out of nothing."""

    def test_nothing_is_reached_that_the_nominal_model_does_not_reach(self, cls):
        probs, values = torch.tensor([0.5, 0.5, 0.0]), torch.tensor([3.0, 1.0, -9.0])
        assert cls(rho=0.5).expectation(probs, values) >= 1.0
        assert not cls(rho=0.5).contains(probs, torch.tensor([0.45, 0.5, 0.05]))

    def test_what_is_certain_stays_certain(self, cls):
        probs, values = torch.tensor([0.0, 1.0]), torch.tensor([-9.0, 3.0])
        assert cls(rho=0.9).expectation(probs, values).item() == 3.0

    @pytest.mark.parametrize("dual", [0.0, 1e38, torch.inf, torch.nan])
    def test_size_zero_is_the_next_value_to_the_last_bit(self, cls, dual):
        torch.manual_seed(0)
        ball, value = cls(rho=0.0), torch.randn(50, 1)
        duals = torch.full((50, ball.n_duals), dual, requires_grad=True)
        objective = ball.dual_objective(value, duals)
        objective.sum().backward()
        assert torch.equal(objective, -value) and not duals.grad.any()

    def test_size_zero_is_the_nominal_model(self, cls):
        ball = cls(rho=0.0)
        assert ball.expectation(PROBS, VALUES).item() == 1.25
        assert torch.equal(ball.worst_kernel(PROBS, VALUES), PROBS)


@pytest.mark.parametrize("cls", [KL, ChiSquared])
@pytest.mark.parametrize("rho", [-0.1, torch.inf, torch.nan, True, None, "0.1"], ids=str)
def test_a_radius_is_a_finite_number_from_zero_on(cls, rho):
    with pytest.raises(ValueError, match=r"rho must be a finite number, 0 or larger, got"):
        cls(rho=rho)


@pytest.mark.parametrize("rho", [-0.1, 1.1, torch.inf, torch.nan, True, None, "0.1"], ids=str)
def test_cvar_takes_a_share(rho):
    with pytest.raises(ValueError, match=r"rho must be a finite number in \[0, 1\) for CVaR, got"):
        CVaR(rho=rho)


class TestMembership:
    """Of (0.5, 0.5): a state keeps its share, or all together lack at most rho."""

    NOMINAL = torch.tensor([0.5, 0.5])

    def test_contamination_leaves_its_share_to_every_state(self):
        other = torch.tensor([0.625, 0.375]), torch.tensor([0.75, 0.25])
        found = [Contamination(rho=0.25).contains(self.NOMINAL, row).item() for row in other]
        assert found == [True, False]

    def test_total_variation_leaves_all_but_rho(self):
        other = torch.tensor([0.75, 0.25]), torch.tensor([0.875, 0.125])
        found = [TotalVariation(rho=0.25).contains(self.NOMINAL, row).item() for row in other]
        assert found == [True, False]

    @SETS
    def test_beside_a_fail_state_no_state_gains(self, cls):
        gains = torch.tensor([0.625, 0.375, 0.0])
        assert cls(rho=0.25).contains(self.NOMINAL, gains[:2])
        assert not cls(rho=0.25, worst_value=0.0).contains(self.NOMINAL, gains)


@SETS
def test_the_worst_state_of_a_model_may_have_probability_zero(cls):
    probs, values = torch.tensor([0.5, 0.5, 0.0]), torch.tensor([3.0, 3.0, -1.0])
    assert cls(rho=0.25).expectation(probs, values).item() == 0.75 * 3.0 - 0.25


@SETS
def test_size_zero_is_the_nominal_model(cls):
    assert cls(rho=0.0).expectation(PROBS, VALUES).item() == 1.25
    assert Nominal().expectation(PROBS, VALUES).item() == 1.25
