"""The mathematics against a linear program, a grid over eta, and numbers worked out by hand."""

import numpy as np
import pytest
import torch
from scipy.optimize import linprog
from scipy.sparse import block_diag

from torchrl_drigm.objectives.value import (
    contamination_backup,
    tv_backup,
    tv_dual_objective,
    worst_case_expectation,
)

N_DISTRIBUTIONS = 1_000


def linear_programs(problems, uncertainty):
    """Worst expectations, each of a linear program over the adversary's distribution.

    tv: kept mass m_i <= p_i on the outcomes and u <= rho on the worst value, in total 1; confined
    to the outcomes, a distribution q with |q - p|_1 <= 2 rho. contamination: rho of the mass goes
    to any outcome, or to the worst value. They share no variable, so that one program of all is
    solved for the least sum by what solves each.
    """
    parts = [_program(*problem, uncertainty) for problem in problems]
    costs, fixed, bounds, equal, at_most = map(list, zip(*parts, strict=True))
    limits = {}
    if at_most[0] is not None:
        rows, limit = zip(*at_most, strict=True)
        limits = {"A_ub": block_diag(rows, format="csc"), "b_ub": limit}
    rows, totals = zip(*equal, strict=True)
    every = [bound for own in bounds for bound in own]
    solved = linprog(
        np.concatenate(costs),
        A_eq=block_diag(rows, format="csc"),
        b_eq=totals,
        bounds=every,
        **limits,
    )
    ends = np.cumsum([len(cost) for cost in costs])[:-1]
    found = zip(fixed, costs, np.split(solved.x, ends), strict=True)
    return [known + cost @ mass for known, cost, mass in found]


def _program(values, probs, rho, worst_value, uncertainty):
    """Costs, what is added to them, bounds, a row and what it is equal to, one and its limit."""
    n = len(values)
    if uncertainty == "contamination":
        targets = values if worst_value is None else np.array([worst_value])
        bounds = [(0, 1)] * len(targets)
        return (
            rho * targets,
            (1 - rho) * probs @ values,
            bounds,
            (np.ones((1, len(targets))), 1.0),
            None,
        )
    if worst_value is not None:
        bounds = [(0, p) for p in probs] + [(0, rho)]
        return np.append(values, worst_value), 0.0, bounds, (np.ones((1, n + 1)), 1.0), None
    # q = p + up - down, total moved mass at most rho
    cost = np.concatenate([values, -values])
    equal = np.concatenate([np.ones(n), -np.ones(n)])[None]
    moved = np.concatenate([np.zeros(n), np.ones(n)])[None]
    bounds = [(0, 1)] * n + [(0, p) for p in probs]
    return cost, probs @ values, bounds, (equal, 0.0), (moved, rho)


@pytest.mark.parametrize("worst", ["none", "below", "anywhere"])
@pytest.mark.parametrize("uncertainty", ["tv", "contamination"])
def test_worst_case_equals_linear_program(uncertainty, worst):
    rng = np.random.default_rng(7)
    ours, problems = [], []
    for _ in range(N_DISTRIBUTIONS):
        n = rng.integers(1, 9)
        values = rng.normal(scale=3.0, size=n)
        probs = rng.dirichlet(np.full(n, 0.7))
        probs[rng.random(n) < 0.1] = 0.0
        probs = probs / probs.sum() if probs.sum() > 0 else np.full(n, 1 / n)
        rho = rng.choice([0.0, 1.0, rng.random()])
        v = {
            "none": None,
            "below": values.min() - rng.random(),
            "anywhere": rng.normal(scale=3.0),
        }[worst]
        found = worst_case_expectation(
            torch.tensor(values), torch.tensor(probs), rho, uncertainty, worst_value=v
        )
        ours.append(found.item())
        problems.append((values, probs, rho, v))
    assert ours == pytest.approx(linear_programs(problems, uncertainty), abs=1e-9)


def random_distributions(n=200, outcomes=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    values = 3 * torch.randn(n, outcomes, generator=generator, dtype=torch.float64)
    probs = torch.rand(n, outcomes, generator=generator, dtype=torch.float64)
    return values, probs / probs.sum(-1, keepdim=True)


@pytest.mark.parametrize("rho", [0.0, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("worst_value", [-12.0, 0.5])
def test_supremum_over_a_grid_of_eta(rho, worst_value):
    values, probs = random_distributions()
    eta = torch.linspace(-15, 15, 6001, dtype=torch.float64)[:, None, None]
    shape = (eta.shape[0], *values.shape)
    backups = tv_backup(values.expand(shape), eta.expand(shape), rho, worst_value)
    supremum = (backups * probs).sum(-1).max(0).values
    exact = worst_case_expectation(values, probs, rho, "tv", worst_value)
    assert (supremum <= exact + 1e-9).all()  # the dual bounds from below at every eta
    torch.testing.assert_close(supremum, exact, atol=0.005 * 2, rtol=0)  # grid step 0.005


@pytest.mark.parametrize("rho", [0.05, 0.3, 0.8])
@pytest.mark.parametrize("worst_value", [-20.0, 0.5, 20.0])
def test_backup_at_the_optimal_eta_is_exact(rho, worst_value):
    """The optimum is the smallest eta with P(V <= eta) >= 1 - rho, or v where that is larger."""
    values, probs = random_distributions(seed=1)
    ordered, order = values.sort(-1)
    mass = probs.gather(-1, order).cumsum(-1)
    index = (mass < 1 - rho - 1e-12).sum(-1, keepdim=True)
    eta = ordered.gather(-1, index).clamp_min(worst_value).expand_as(values)
    backup = (tv_backup(values, eta, rho, worst_value) * probs).sum(-1)
    exact = worst_case_expectation(values, probs, rho, "tv", worst_value)
    torch.testing.assert_close(backup, exact, atol=1e-12, rtol=0)


@pytest.mark.parametrize("uncertainty", ["tv", "contamination"])
@pytest.mark.parametrize("worst_value", [None, -20.0])
def test_decreases_in_rho_from_the_mean(uncertainty, worst_value):
    values, probs = random_distributions(seed=2)
    sigma = torch.stack(
        [
            worst_case_expectation(values, probs, rho, uncertainty, worst_value)
            for rho in np.linspace(0, 1, 21)
        ]
    )
    torch.testing.assert_close(sigma[0], (values * probs).sum(-1))
    assert (sigma.diff(dim=0) <= 1e-12).all()
    floor = values.min(-1).values if worst_value is None else torch.full_like(sigma[-1], -20.0)
    torch.testing.assert_close(sigma[-1], floor)


def test_both_sets_agree_on_a_deterministic_next_state():
    value, probs = torch.tensor([4.0]), torch.tensor([1.0])
    tv = worst_case_expectation(value, probs, 0.25, "tv", -8.0)
    contamination = worst_case_expectation(value, probs, 0.25, "contamination", -8.0)
    assert tv.item() == contamination.item() == 1.0  # 0.75 * 4 - 0.25 * 8


def test_sets_differ_on_a_two_point_distribution():
    """Half 0, half 4, v = 0, rho = 1/4: TV removes a quarter of the 4s, contamination of all."""
    values, probs = torch.tensor([0.0, 4.0]), torch.tensor([0.5, 0.5])
    assert worst_case_expectation(values, probs, 0.25, "tv", 0.0).item() == 1.0
    assert worst_case_expectation(values, probs, 0.25, "contamination", 0.0).item() == 1.5


def test_zero_worst_value_above_negative_values():
    """At v=0 over negative values TV stays nominal, and contamination turns optimistic."""
    values, probs = torch.tensor([-4.0, -2.0]), torch.tensor([0.5, 0.5])
    assert worst_case_expectation(values, probs, 0.5, "tv", 0.0).item() == -3.0
    assert worst_case_expectation(values, probs, 0.5, "contamination", 0.0).item() == -1.5


def test_hand_worked_backups():
    next_value = torch.tensor([1.0, 4.0, -2.0])
    eta = torch.tensor([2.0, 2.0, -3.0])
    expected = torch.tensor([2.0 - 1.0 - 0.5 * 5.0, 2.0 - 0.5 * 5.0, -3.0])
    torch.testing.assert_close(tv_backup(next_value, eta, 0.5, worst_value=-3.0), expected)
    torch.testing.assert_close(tv_dual_objective(next_value, eta, 0.5, -3.0), -expected)
    torch.testing.assert_close(
        contamination_backup(next_value, 0.5, worst_value=-3.0), torch.tensor([-1.0, 0.5, -2.5])
    )


def test_paper_form_of_the_dual_at_zero_worst_value():
    """Eq. 17: [eta - V]_+ - (1 - rho) eta, for eta >= 0."""
    generator = torch.Generator().manual_seed(0)
    next_value = torch.randn(100, generator=generator)
    eta = torch.rand(100, generator=generator) * 3
    paper = torch.relu(eta - next_value) - (1 - 0.3) * eta
    torch.testing.assert_close(tv_dual_objective(next_value, eta, 0.3), paper)


NO_NUMBERS = [float("nan"), float("inf"), -float("inf"), True, "1", None, torch.zeros(2)]
NO_NUMBERS += [torch.tensor(True), torch.tensor(float("nan"))]


@pytest.mark.parametrize("worst_value", [v for v in NO_NUMBERS if v is not None], ids=str)
def test_worst_value_is_a_finite_number(worst_value):
    one = torch.ones(3)
    for call in (
        lambda: contamination_backup(one, 0.5, worst_value),
        lambda: tv_backup(one, one, 0.5, worst_value),
        lambda: tv_dual_objective(one, one, 0.5, worst_value),
        lambda: worst_case_expectation(torch.ones(1), torch.ones(1), 0.5, "tv", worst_value),
    ):
        with pytest.raises(ValueError, match="worst_value must be a"):
            call()


@pytest.mark.parametrize("uncertainty", ["tv", "contamination"])
class TestWorstCaseExpectationOf:
    def test_integers(self, uncertainty):
        """The worst value is not cut to one."""
        values, probs = torch.tensor([4, 0]), torch.tensor([1, 0])
        worst = worst_case_expectation(values, probs, 0.5, uncertainty, -0.5)
        assert worst.dtype == torch.float32
        assert worst.item() == 1.75  # 0.5 * 4 - 0.5 * 0.5
        values = torch.tensor([4, 0], dtype=torch.int32)
        probs = torch.tensor([0.5, 0.5], dtype=torch.float64)
        worst = worst_case_expectation(values, probs, 1.0, uncertainty, torch.tensor(-1))
        assert worst.dtype == torch.float64 and worst.item() == -1.0

    @pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf])
    def test_numbers_that_are_not_finite(self, uncertainty, bad):
        values, probs = torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.full((2, 2), 0.5)
        worst = torch.zeros(2)
        for name, tensor in (("values", values), ("probs", probs), ("worst_value", worst)):
            broken = {"values": values, "probs": probs, "worst_value": worst}
            broken[name] = tensor.clone()
            broken[name].view(-1)[1] = bad
            with pytest.raises(ValueError, match=f"{name} must be"):
                worst_case_expectation(**broken, rho=0.5, uncertainty=uncertainty)

    def test_worst_values_one_or_as_many_as_distributions(self, uncertainty):
        values, probs = torch.arange(12.0).view(2, 3, 2), torch.full((2, 3, 2), 0.5)
        v = torch.randn(2, 3)
        worst = worst_case_expectation(values, probs, 0.3, uncertainty, v)
        for i in range(2):
            for j in range(3):
                one = worst_case_expectation(values[i, j], probs[i, j], 0.3, uncertainty, v[i, j])
                torch.testing.assert_close(worst[i, j], one)
        for shape in [(3,), (2, 1), (1, 3), (2, 3, 1), (2, 3, 2), (1,)]:
            with pytest.raises(ValueError, match=r"one for each distribution, \[2, 3\], got"):
                worst_case_expectation(values, probs, 0.3, uncertainty, torch.zeros(shape))
        with pytest.raises(ValueError, match="must be finite numbers"):
            flags = torch.zeros(2, 3, dtype=torch.bool)
            worst_case_expectation(values, probs, 0.3, uncertainty, flags)

    def test_no_outcomes(self, uncertainty):
        with pytest.raises(ValueError, match="n of at least 1"):
            worst_case_expectation(torch.ones(2, 0), torch.ones(2, 0), 0.1, uncertainty)


@pytest.mark.parametrize("rho", [-0.1, 1.1, *NO_NUMBERS], ids=str)
def test_rho_out_of_range(rho):
    one = torch.ones(1)
    for call in (
        lambda: contamination_backup(one, rho),
        lambda: tv_backup(one, one, rho),
        lambda: tv_dual_objective(one, one, rho),
        lambda: worst_case_expectation(one, one, rho),
    ):
        with pytest.raises(ValueError, match=r"rho must be a finite number in \[0, 1\]"):
            call()


def test_shapes_are_refused_before_they_broadcast():
    with pytest.raises(ValueError, match=r"shape of next_value, \(4, 1\), got \(4,\)"):
        tv_backup(torch.ones(4, 1), torch.ones(4), 0.1)
    with pytest.raises(ValueError, match=r"share one shape \[..., n\]"):
        worst_case_expectation(torch.ones(3), torch.ones(2), 0.1)


def test_no_distribution_is_refused():
    with pytest.raises(ValueError, match="non-negative and sum to 1"):
        worst_case_expectation(torch.ones(2), torch.tensor([0.5, 0.6]), 0.1)
    with pytest.raises(ValueError, match="non-negative and sum to 1"):
        worst_case_expectation(torch.ones(2), torch.tensor([-0.5, 1.5]), 0.1)
    with pytest.raises(ValueError, match="uncertainty='wasserstein' must be one of"):
        worst_case_expectation(torch.ones(1), torch.ones(1), 0.1, uncertainty="wasserstein")
