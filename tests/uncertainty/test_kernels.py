"""Uncertainty sets on rows of kernels."""

import pytest
import torch

from torchrl_drigm.uncertainty import (
    KL,
    ChiSquared,
    Contamination,
    CVaR,
    Nominal,
    TotalVariation,
    UncertaintySet,
)

SETS = [
    Nominal(),
    *(a_set(rho, v) for a_set in (Contamination, TotalVariation) for rho in (0.0, 0.3, 1.0)
      for v in (None, -1.0)),
    *(CVaR(rho) for rho in (0.0, 0.3, 0.95)),
    *(ball(rho) for ball in (KL, ChiSquared) for rho in (0.0, 0.3, 20.0)),
]  # fmt: skip


def rows(seed, n=6):
    generator = torch.Generator().manual_seed(seed)
    probs = torch.rand(50, n, generator=generator, dtype=torch.float64)
    probs = probs * (torch.rand(50, n, generator=generator) < 0.7)
    probs[:, 0] += 0.01
    # Values tie now and then.
    values = torch.randint(-3, 4, (n,), generator=generator).double()
    return probs / probs.sum(-1, keepdim=True), values


def closed(uncertainty, values):
    """Values of what worst_kernel distributes over: with the fail state where there is one."""
    if uncertainty.worst_value is None:
        return values
    return torch.cat([values, torch.tensor([uncertainty.worst_value], dtype=values.dtype)])


class TestKernels:
    @pytest.mark.parametrize("uncertainty", SETS, ids=str)
    def test_worst_kernel_attains_the_expectation_inside(self, uncertainty):
        for seed in range(5):
            probs, values = rows(seed)
            worst = uncertainty.worst_kernel(probs, values)
            torch.testing.assert_close(worst.sum(-1), torch.ones(50, dtype=torch.float64))
            assert (worst >= 0).all() and uncertainty.contains(probs, worst).all()
            expected = uncertainty.expectation(probs, values)
            torch.testing.assert_close(worst @ closed(uncertainty, values), expected)

    @pytest.mark.parametrize("uncertainty", SETS, ids=str)
    def test_samples_are_inside_and_no_worse(self, uncertainty):
        generator = torch.Generator().manual_seed(0)
        probs, values = rows(1)
        drawn = uncertainty.sample(probs, generator)
        assert (drawn >= 0).all() and uncertainty.contains(probs, drawn).all()
        torch.testing.assert_close(drawn.sum(-1), torch.ones(50, dtype=torch.float64))
        worst = uncertainty.expectation(probs, values)
        assert (drawn @ closed(uncertainty, values) >= worst - 1e-12).all()
        if isinstance(uncertainty, TotalVariation) and uncertainty.rho == 0.3:
            distance = (probs - drawn[..., :6]).clamp_min(0).sum(-1)
            assert (distance > 0.3 - 1e-9).any() and (distance < 0.2).any()

    def test_contains(self):
        probs = torch.tensor([0.5, 0.5, 0.0])

        def inside(a_set, row, worst_value=None):
            return a_set(0.2, worst_value).contains(probs, torch.tensor(row)).item()

        assert inside(TotalVariation, [0.3, 0.5, 0.2])
        assert not inside(TotalVariation, [0.29, 0.5, 0.21])
        assert inside(Contamination, [0.4, 0.6, 0.0])
        assert not inside(Contamination, [0.39, 0.61, 0.0])
        # To the fail state only, and under contamination all of rho.
        assert inside(TotalVariation, [0.4, 0.5, 0.0, 0.1], 0.0)
        assert not inside(TotalVariation, [0.4, 0.5, 0.1, 0.0], 0.0)
        assert inside(Contamination, [0.4, 0.4, 0.0, 0.2], 0.0)
        assert not inside(Contamination, [0.45, 0.45, 0.0, 0.1], 0.0)
        assert not Nominal().contains(probs, torch.tensor([0.4, 0.6, 0.0]))
        # what is no distribution is in no set
        assert not inside(TotalVariation, [0.5, 0.5, 0.1])
        assert not inside(TotalVariation, [0.6, 0.5, -0.1])
        assert not inside(Contamination, [0.5, 0.6, 0.0])
        assert not inside(TotalVariation, [0.4, 0.5, 0.0, 0.0], 0.0)
        assert not inside(TotalVariation, [torch.nan, 0.5, 0.5])
        for row, worst_value in (([0.5, 0.5, 0.0], 0.0), ([0.5, 0.5, 0.0, 0.0], None)):
            with pytest.raises(ValueError, match="fail state last"):
                inside(TotalVariation, row, worst_value)

    @pytest.mark.parametrize("worst_value", [None, 2.0])
    def test_mass_that_gains_nothing_stays(self, worst_value):
        probs, values = torch.tensor([0.25, 0.75]), torch.tensor([2.0, 2.0])
        worst = TotalVariation(0.5, worst_value).worst_kernel(probs, values)
        assert worst[:2].tolist() == [0.25, 0.75]

    @pytest.mark.parametrize(
        "uncertainty",
        [Nominal(), *(cls(0.25) for cls in (Contamination, TotalVariation, CVaR, KL, ChiSquared))],
        ids=str,
    )
    def test_values_are_one_finite_number_per_state(self, uncertainty):
        probs = torch.tensor([[0.5, 0.5], [0.25, 0.75]])
        for function in (uncertainty.expectation, uncertainty.worst_kernel):
            for values in (torch.zeros(1), torch.zeros(3, 2), torch.tensor([0.0, torch.nan])):
                with pytest.raises(ValueError, match="one finite number per next state"):
                    function(probs, values)
            torch.testing.assert_close(
                function(probs, torch.tensor([1, 3])), function(probs, torch.tensor([1.0, 3.0]))
            )

    @pytest.mark.parametrize("uncertainty", SETS, ids=str)
    def test_values_may_differ_from_row_to_row(self, uncertainty):
        probs, _ = rows(2)
        values = torch.randn(probs.shape, dtype=torch.float64)
        for function in (uncertainty.expectation, uncertainty.worst_kernel):
            together = function(probs, values)
            for i in range(len(probs)):
                torch.testing.assert_close(together[i], function(probs[i], values[i]))

    @pytest.mark.parametrize("uncertainty", SETS, ids=str)
    def test_what_follows_from_the_worst_kernel_and_from_contains_is_the_same(self, uncertainty):
        """The base class computes both for a set that gives nothing quicker."""
        probs, values = rows(3)
        expected = uncertainty.expectation(probs, values)
        torch.testing.assert_close(UncertaintySet.expectation(uncertainty, probs, values), expected)
        if uncertainty.worst_value is not None and isinstance(uncertainty, Contamination):
            return  # with a fail state it holds one kernel alone, and the nominal one is not it
        drawn = UncertaintySet.sample(uncertainty, probs, torch.Generator().manual_seed(0))
        assert uncertainty.contains(probs, drawn).all()
        assert (drawn @ closed(uncertainty, values) >= expected - 1e-9).all()

    def test_samples_reach_the_border_and_the_inside(self):
        probs, _ = rows(4)
        ball = TotalVariation(0.3)
        drawn = UncertaintySet.sample(ball, probs, torch.Generator().manual_seed(0))
        distance = (probs - drawn).clamp_min(0).sum(-1)
        assert (distance > 0.3 - 1e-9).any() and (distance < 0.2).any()

    @pytest.mark.parametrize("a_set", [Contamination, TotalVariation, CVaR, KL, ChiSquared])
    def test_rows_are_distributions(self, a_set):
        for function in (a_set(0.2).expectation, a_set(0.2).worst_kernel):
            with pytest.raises(ValueError, match="non-negative and sum to 1"):
                function(torch.tensor([0.5, 0.6]), torch.zeros(2))
