"""Kullback-Leibler: the adversary may be as far in relative entropy."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from torchrl_drigm.uncertainty._divergence import DivergenceBall

__all__ = ["KL"]


@dataclass(frozen=True)
class KL(DivergenceBall):
    r"""The ball :math:`\mathrm{KL}(P \,\|\, P^0) = \mathbb E_P \log dP/dP^0 \le \rho`.

    The worst distribution has a density proportional to :math:`e^{-V'/\lambda}`, at the
    :math:`\lambda` that makes the divergence :math:`\rho`. As an expectation, of which one sample
    is enough (the usual :math:`-\lambda\log\mathbb E e^{-V'/\lambda} - \lambda\rho` of single
    samples is nominal),

    .. math::
        \sigma(V') = \sup_{\eta,\,\lambda > 0}\;
            \mathbb E\left[\eta - \lambda\left(e^{(\eta - V')/\lambda} - 1\right)\right]
            - \lambda\rho .

    Nothing is reached that the nominal model does not reach, and a next state that is certain stays
    certain: the set has no ``worst_value`` and no effect on the horizon. Of a small radius the
    worst case is :math:`\mathbb E V' - \sqrt{2\rho\,\mathrm{Var}\,V'}`.

    **Dual numbers**: :math:`\eta`, and a number of which :math:`\lambda` is the softplus over
    :math:`\sqrt{2\rho}`, so that both are in units of return. :meth:`backup` continues the
    exponential by its tangent where the density would exceed the largest one that the ball leaves
    to an outcome of nominal probability 1/100 (8 at :math:`\rho = 0.1`, 22 at 0.5): while
    :math:`\eta` lags behind the values, it would take the target with it. That is exactly the dual
    of the distributions in the ball whose density is as bounded. So :meth:`backup` learns what
    :meth:`expectation` and :meth:`worst_kernel` say of the whole ball wherever no outcome is less
    probable than 1/100, and a little more where one is.

    Args:
        rho (float): radius, 0 or larger. From :math:`-\log` of the probability of the lowest value
            on, the worst case is that value.

    Raises:
        ValueError: if ``rho`` is below 0 or not finite.

    Examples:
        >>> half, values = torch.tensor([0.5, 0.5]), torch.tensor([0.0, 1.0])
        >>> KL(rho=0.1308).worst_kernel(half, values)  # 3/4 log 3/2 + 1/4 log 1/2
        tensor([0.7500, 0.2500])
        >>> KL(rho=0.7).expectation(half, values)  # more than log 2
        tensor(0.)
        >>> next_value, duals = torch.tensor([[2.0]]), torch.tensor([[2.0, 0.0]])
        >>> KL(rho=0.5).backup(next_value, duals)  # 2 - 0.5 softplus(0)
        tensor([[1.6534]])
    """

    rho: float = 0.0

    name = "kl"
    label = "KL"
    curvature = 1.0
    lowest = -40.0  # exp of it is nothing beside 1

    @staticmethod
    def divergence_at(density: Tensor) -> Tensor:
        """``t log t - t + 1``."""
        # close to 1 the plain form loses what is left, close to 0 the other one does
        more = density - 1
        logarithm = torch.where(density > 0.5, torch.log1p(more), torch.log(density))
        return torch.where(density > 0, density * logarithm, 0.0) - more

    @staticmethod
    def conjugate(slope: Tensor) -> Tensor:
        """``exp(z) - 1``."""
        return torch.expm1(slope)

    @staticmethod
    def slope_of(density: float) -> float:
        """``log t``."""
        return math.log(density)

    def tilted(self, probs: Tensor, values: Tensor, parameter: Tensor) -> Tensor:
        """Nominal times ``exp(-V / lam)``."""
        return probs * torch.exp(-values / parameter)

    def mildest(self, probs: Tensor, values: Tensor) -> Tensor:
        """The divergence is at most ``1 / (8 lam²)`` for values in [0, 1]."""
        return torch.full_like(values[..., :1], 1 / math.sqrt(8 * self.rho))
