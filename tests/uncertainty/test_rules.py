"""One small test for each rule of the sets, named after the rule; numbers by hand.

Outcomes 0, 1 and 3 of probability 1/4, 1/2 and 1/4: a mean of 1.25.
"""

import pytest
import torch

from torchrl_drigm.uncertainty import Contamination, Nominal, TotalVariation

PROBS, VALUES = torch.tensor([0.25, 0.5, 0.25]), torch.tensor([0.0, 1.0, 3.0])
SETS = pytest.mark.parametrize("cls", [Contamination, TotalVariation])


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
