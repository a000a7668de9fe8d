"""Finite sets of kernels."""

import pytest
import torch

from torchrl_drigm.tabular import FiniteSet, random_dec_pomdp


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
