"""χ²: the adversary may be as far in the mean square of the density."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from torchrl_drigm.uncertainty._divergence import DivergenceBall

__all__ = ["ChiSquared"]


@dataclass(frozen=True)
class ChiSquared(DivergenceBall):
    r"""The ball :math:`\sum_{s'} (P - P^0)^2 / P^0 \le \rho`.

    The worst distribution has a density proportional to :math:`(\eta - V')_+`, at the :math:`\eta`
    that makes the divergence :math:`\rho`. As an expectation, of which one sample is enough,

    .. math::
        \sigma(V') = \sup_{\eta,\,c > 0}\;
            \mathbb E\left[\eta - \frac{(1+\rho)\,(\eta - V')_+^2}{2c}\right] - \frac c2 .

    Nothing is reached that the nominal model does not reach, and a next state that is certain stays
    certain: the set has no ``worst_value`` and no effect on the horizon. Of a small radius the
    worst case is :math:`\mathbb E V' - \sqrt{\rho\,\mathrm{Var}\,V'}`. No outcome gets more than
    :math:`1 + \sqrt{\rho/p}` times its probability :math:`p`.

    **Dual numbers**: with :math:`\lambda = c / (2 (1 + \rho))`, the number
    :math:`\eta - 2\lambda`, which is close to the mean where the radius is small, and one of which
    :math:`\lambda` is the softplus over :math:`2\sqrt\rho`, so that both are in units of return.
    :meth:`backup` continues the square by its tangent where the density would exceed the largest
    one that the ball leaves to an outcome of nominal probability 1/100 (5.4 at
    :math:`\rho = 0.2`); see :class:`KL`.

    Args:
        rho (float): radius, 0 or larger. From :math:`1/p - 1` on, where :math:`p` is the
            probability of the lowest value, the worst case is that value.

    Raises:
        ValueError: if ``rho`` is below 0 or not finite.

    Examples:
        >>> half, values = torch.tensor([0.5, 0.5]), torch.tensor([0.0, 1.0])
        >>> ChiSquared(rho=0.25).worst_kernel(half, values)  # (1/4)² / (1/2) twice
        tensor([0.7500, 0.2500])
        >>> ChiSquared(rho=1.0).expectation(half, values)
        tensor(0.)
        >>> next_value, duals = torch.tensor([[2.0]]), torch.tensor([[2.0, 0.0]])
        >>> ChiSquared(rho=0.25).backup(next_value, duals)  # 2 - 0.25 softplus(0)
        tensor([[1.8267]])
    """

    rho: float = 0.0

    name = "chi2"
    label = "χ²"
    curvature = 2.0
    lowest = -2.0

    @staticmethod
    def divergence_at(density: Tensor) -> Tensor:
        """``(t - 1)²``."""
        return (density - 1).square()

    @staticmethod
    def conjugate(slope: Tensor) -> Tensor:
        """``z + z² / 4``."""
        return slope + slope.square() / 4

    @staticmethod
    def slope_of(density: float) -> float:
        """``2 (t - 1)``."""
        return 2 * (density - 1)

    def tilted(self, probs: Tensor, values: Tensor, parameter: Tensor) -> Tensor:
        """Nominal times ``(eta - V)_+``."""
        return probs * torch.relu(parameter - values)

    def mildest(self, probs: Tensor, values: Tensor) -> Tensor:
        """The divergence is at most ``Var V / (eta - E V)²``."""
        mean = (probs * values).sum(-1, keepdim=True)
        variance = (probs * (values - mean).square()).sum(-1, keepdim=True)
        return mean + (variance / self.rho).sqrt()
