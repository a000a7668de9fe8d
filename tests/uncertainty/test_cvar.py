"""CVaR: the exact worst case, its kernel, its dual, and what it has to do with total variation."""

import pytest
import torch

from tests.convex_programs import worst_expectations
from torchrl_drigm.objectives.value import worst_case_expectation
from torchrl_drigm.uncertainty import CVaR, TotalVariation

PROBS = torch.tensor([0.9, 0.06, 0.04], dtype=torch.float64)
VALUES = torch.tensor([10.0, 8.0, 0.0], dtype=torch.float64)


def rows(n=300, seed=0):
    """Rows with outcomes of probability 0, with ties, and with equal values throughout."""
    generator = torch.Generator().manual_seed(seed)
    probs = torch.rand(n, 6, generator=generator, dtype=torch.float64)
    probs = probs * (torch.rand(n, 6, generator=generator) < 0.7)
    probs[:, 0] += 0.01
    values = 3 * torch.randn(n, 6, generator=generator, dtype=torch.float64)
    values[::3] = values[::3].round()
    values[::10] = 2.0
    return probs / probs.sum(-1, keepdim=True), values


@pytest.mark.parametrize("rho, expected", [(0.0, 9.48), (0.3, 6.48 / 0.7), (0.5, 8.96), (0.8, 7.4)])
def test_by_hand(rho, expected):
    assert CVaR(rho).expectation(PROBS, VALUES).item() == pytest.approx(expected, abs=1e-9)
    by_name = worst_case_expectation(VALUES, PROBS, rho, uncertainty="cvar")
    assert by_name.item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("rho", [0.0, 0.05, 0.3, 0.9, 0.999])
def test_worst_case_is_that_of_a_linear_program(rho):
    probs, values = rows()
    expected = worst_expectations("cvar", probs, values, rho)
    ours = CVaR(rho).expectation(probs, values)
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("rho", [0.0, 0.05, 0.3, 0.9])
def test_total_variation_is_cvar_and_a_discount(rho):
    probs, values = rows()
    v = values.min().item() - 1.0
    expected = (1 - rho) * CVaR(rho).expectation(probs, values) + rho * v
    torch.testing.assert_close(TotalVariation(rho, v).expectation(probs, values), expected)


@pytest.mark.parametrize("rho", [0.05, 0.3, 0.9])
def test_the_dual_bounds_from_below_and_a_quantile_attains(rho):
    probs, values = rows()
    exact = CVaR(rho).expectation(probs, values)
    attained = torch.full_like(exact, -torch.inf)
    # the best eta is an outcome
    for eta in values.unbind(-1):
        eta = eta[:, None].expand_as(values)
        backup = CVaR(rho).backup(values.unsqueeze(-1), eta.unsqueeze(-1)).squeeze(-1)
        bound = (probs * backup).sum(-1)
        assert (bound <= exact + 1e-9).all()
        attained = torch.maximum(attained, bound)
    torch.testing.assert_close(attained, exact)
