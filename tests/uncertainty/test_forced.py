"""Total variation whose adversary must act: numbers by hand, and against the other one."""

import pytest
import torch

from torchrl_drigm.uncertainty import Contamination, ForcedTotalVariation, TotalVariation

PROBS, VALUES = torch.tensor([0.25, 0.5, 0.25]), torch.tensor([-4.0, -2.0, -1.0])


def test_the_best_mass_moves_to_a_better_place():
    ball = ForcedTotalVariation(rho=0.5, worst_value=0.0)
    assert ball.worst_kernel(PROBS, VALUES).tolist() == [0.25, 0.25, 0.0, 0.5]
    assert ball.expectation(PROBS, VALUES).item() == 0.25 * -4.0 + 0.25 * -2.0
    nominal = (PROBS * VALUES).sum()
    assert TotalVariation(rho=0.5, worst_value=0.0).expectation(PROBS, VALUES) == nominal


@pytest.mark.parametrize("worst_value", [-5.0, None])
def test_without_a_better_place_it_is_total_variation(worst_value):
    sets = [cls(0.3, worst_value) for cls in (ForcedTotalVariation, TotalVariation)]
    expected = sets[1].expectation(PROBS, VALUES)
    torch.testing.assert_close(sets[0].expectation(PROBS, VALUES), expected)
    torch.testing.assert_close(
        sets[0].worst_kernel(PROBS, VALUES), sets[1].worst_kernel(PROBS, VALUES)
    )


def test_the_best_dual_number_of_samples_gives_the_expectation():
    torch.manual_seed(0)
    for _ in range(50):
        probs = torch.rand(6, dtype=torch.float64)
        probs /= probs.sum()
        values = torch.randn(6, dtype=torch.float64) * 5 - 3
        ball = ForcedTotalVariation(rho=torch.rand(()).item(), worst_value=0.0)
        # the supremum is attained at one of the outcomes
        backup = ball.backup(values.expand(6, 6), values.unsqueeze(1).expand(6, 6))
        torch.testing.assert_close(
            (backup * probs).sum(-1).max(), ball.expectation(probs, values), rtol=1e-9, atol=1e-9
        )


def test_a_certain_next_state_is_a_shorter_horizon():
    value = torch.tensor([[-7.0], [3.0]])
    for rho in (0.0, 0.2, 0.5):
        forced = ForcedTotalVariation(rho, worst_value=0.0).backup(value, value)
        expected = Contamination(rho, worst_value=0.0).backup(value)
        torch.testing.assert_close(forced, expected)


def test_the_square_of_the_integrand_has_the_same_minimiser_below_zero():
    """For a next state that is certain, as the released configuration needs it."""
    value, eta = torch.tensor(-7.0), torch.linspace(-20, -0.01, 2000)
    ball = ForcedTotalVariation(0.2, worst_value=0.0)
    objective = ball.dual_objective(value.expand_as(eta), eta).square()
    assert eta[objective.argmin()].item() == pytest.approx(-7.0, abs=0.02)


@pytest.mark.parametrize("worst_value", [0.0, None])
def test_it_contains_what_it_draws_and_its_worst(worst_value):
    ball = ForcedTotalVariation(0.3, worst_value)
    rows = PROBS.double().expand(200, 3)
    drawn = ball.sample(rows, torch.Generator().manual_seed(0))
    assert ball.contains(rows, drawn).all()
    worst = ball.worst_kernel(rows, VALUES.double())
    assert ball.contains(rows, worst).all()
    if worst_value is not None:
        padded = torch.nn.functional.pad(VALUES.double(), (0, 1))
        assert ((drawn * padded).sum(-1) >= ball.expectation(rows, VALUES.double()) - 1e-9).all()
        assert not ball.contains(rows, torch.nn.functional.pad(rows, (0, 1))).any()
