"""Uncertainty sets on rows of kernels."""

import pytest
import torch

from torchrl_drigm.tabular import FiniteSet, UncertaintySet, random_dec_pomdp

SETS = [
    UncertaintySet("none"),
    *(UncertaintySet(k, rho, v) for k in ("contamination", "tv") for rho in (0.0, 0.3, 1.0)
      for v in (None, -1.0)),
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


class TestUncertaintySet:
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
        if uncertainty.kind == "tv" and uncertainty.rho == 0.3:
            distance = (probs - drawn[..., :6]).clamp_min(0).sum(-1)
            assert (distance > 0.3 - 1e-9).any() and (distance < 0.2).any()

    def test_contains(self):
        probs = torch.tensor([0.5, 0.5, 0.0])

        def inside(kind, row, worst_value=None):
            return UncertaintySet(kind, 0.2, worst_value).contains(probs, torch.tensor(row)).item()

        assert inside("tv", [0.3, 0.5, 0.2]) and not inside("tv", [0.29, 0.5, 0.21])
        assert inside("contamination", [0.4, 0.6, 0.0])
        assert not inside("contamination", [0.39, 0.61, 0.0])
        # To the fail state only, and under contamination all of rho.
        assert inside("tv", [0.4, 0.5, 0.0, 0.1], 0.0)
        assert not inside("tv", [0.4, 0.5, 0.1, 0.0], 0.0)
        assert inside("contamination", [0.4, 0.4, 0.0, 0.2], 0.0)
        assert not inside("contamination", [0.45, 0.45, 0.0, 0.1], 0.0)
        assert not UncertaintySet("none").contains(probs, torch.tensor([0.4, 0.6, 0.0]))
        # what is no distribution is in no set
        assert not inside("tv", [0.5, 0.5, 0.1]) and not inside("tv", [0.6, 0.5, -0.1])
        assert not inside("contamination", [0.5, 0.6, 0.0])
        assert not inside("tv", [0.4, 0.5, 0.0, 0.0], 0.0)
        assert not inside("tv", [torch.nan, 0.5, 0.5])
        for row, worst_value in (([0.5, 0.5, 0.0], 0.0), ([0.5, 0.5, 0.0, 0.0], None)):
            with pytest.raises(ValueError, match="fail state last"):
                inside("tv", row, worst_value)

    @pytest.mark.parametrize("worst_value", [None, 2.0])
    def test_mass_that_gains_nothing_stays(self, worst_value):
        probs, values = torch.tensor([0.25, 0.75]), torch.tensor([2.0, 2.0])
        worst = UncertaintySet("tv", 0.5, worst_value).worst_kernel(probs, values)
        assert worst[:2].tolist() == [0.25, 0.75]

    @pytest.mark.parametrize("kind", ["none", "contamination", "tv"])
    def test_values_are_one_finite_number_per_state(self, kind):
        uncertainty = UncertaintySet(kind, 0.0 if kind == "none" else 0.25)
        probs = torch.tensor([[0.5, 0.5], [0.25, 0.75]])
        for function in (uncertainty.expectation, uncertainty.worst_kernel):
            for values in (torch.zeros(1), torch.zeros(2, 2), torch.tensor([0.0, torch.nan])):
                with pytest.raises(ValueError, match="one finite number per next state"):
                    function(probs, values)
            torch.testing.assert_close(
                function(probs, torch.tensor([1, 3])), function(probs, torch.tensor([1.0, 3.0]))
            )

    @pytest.mark.parametrize(
        "arguments, message",
        [
            (("wasserstein", 0.1), "kind must be one of .* got 'wasserstein'"),
            (("tv", 1.5), r"finite number in \[0, 1\], got 1\.5"),
            (("tv", torch.nan), r"finite number in \[0, 1\], got nan"),
            (("none", 0.1), "kind 'none' .* rho must be 0, got 0.1"),
            (("tv", True), r"finite number in \[0, 1\], got True"),
            (("tv", "0.1"), r"finite number in \[0, 1\], got 0\.1"),
            (("tv", 0.1, -torch.inf), "worst_value must be a finite number, got -inf"),
            (("tv", 0.1, torch.nan), "worst_value must be a finite number, got nan"),
            (("tv", 0.1, True), "worst_value must be a finite number, got True"),
            (("tv", 0.1, torch.zeros(2)), "worst_value must be a finite number, got tensor"),
        ],
    )
    def test_refuses(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            UncertaintySet(*arguments)


class TestFiniteSet:
    def test_hull_takes_the_worst_row(self):
        kernels = [random_dec_pomdp(3, (2, 2), seed).kernel for seed in range(4)]
        hull, values = FiniteSet(kernels, rectangular=True), torch.tensor([3.0, -1.0, 0.5]).double()
        assert len(hull) == 4 and repr(hull) == "FiniteSet(4 kernels, rectangular=True)"
        worst = hull.worst_kernel(kernels[0], values)
        torch.testing.assert_close(worst @ values, hull.expectation(kernels[0], values))
        source = (worst == hull.kernels).all(-1)  # [K, S, A_1, A_2]
        assert source.any(0).all() and not source.flatten(1).all(1).any()

    def test_refuses(self):
        kernel = random_dec_pomdp(3, (2, 2), seed=0).kernel
        with pytest.raises(ValueError, match="at least one kernel, got none"):
            FiniteSet([])
        with pytest.raises(ValueError, match=r"kernels\[1\] must have the shape"):
            FiniteSet([kernel, kernel[:2]])
        with pytest.raises(ValueError, match=r"every row of kernels\[0\] must be a distribution"):
            FiniteSet([2 * kernel])
        hull = FiniteSet([kernel], rectangular=True)
        for function in (hull.expectation, hull.worst_kernel):
            with pytest.raises(ValueError, match=r"shape of the model's, \[2, 2, 2, 3\]"):
                function(kernel[:2], torch.zeros(3).double())
            with pytest.raises(ValueError, match="one finite number per next state"):
                function(kernel, torch.full((3,), torch.nan))
