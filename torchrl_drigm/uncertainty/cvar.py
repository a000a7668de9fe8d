"""CVaR: the adversary may make any outcome more likely, up to a factor."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from torchrl_drigm.uncertainty._checks import is_finite_number
from torchrl_drigm.uncertainty._duals import unused
from torchrl_drigm.uncertainty.base import UncertaintySet

__all__ = ["CVaR"]


def _check_tail(rho: float) -> float:
    """Return ``rho`` as a float, or raise if it is no share that leaves something.

    Raises:
        ValueError: if ``rho`` is not a finite number in [0, 1).
    """
    if not is_finite_number(rho) or not 0.0 <= float(rho) < 1.0:
        raise ValueError(
            f"rho must be a finite number in [0, 1) for CVaR, got {rho}. It is the share of the "
            "best outcomes that is left out: at 1 only the essential minimum would remain, the "
            "smallest value that has any probability, which samples do not tell."
        )
    return float(rho)


@dataclass(frozen=True)
class CVaR(UncertaintySet):
    r"""All :math:`P` with :math:`dP/dP^0 \le 1/(1-\rho)`: the bounded density ratio.

    The worst case is the mean over the worst :math:`1-\rho` of the outcomes, their conditional
    value at risk (Rockafellar and Uryasev, 2000),

    .. math::
        \sigma(V') = \mathrm{CVaR}_{1-\rho}(V') = \sup_\eta\;
            \mathbb E\left[\eta - \frac{(\eta - V')_+}{1-\rho}\right],

    attained by a :math:`(1-\rho)`-quantile of ``V'``. Nothing is reached that the nominal model
    does not reach, and a next state that is certain stays certain: the set has no ``worst_value``
    and no effect on the horizon. Below every outcome, total variation with a fail state of value
    :math:`v` is this set and a discount, :math:`(1-\rho)\,\mathrm{CVaR}_{1-\rho}(V') + \rho v`.

    Args:
        rho (float): share of the best outcomes that is left out, in [0, 1).

    Raises:
        ValueError: if ``rho`` is outside [0, 1). At 1 the worst case is the essential minimum,
            which samples do not tell.

    Examples:
        >>> probs, values = torch.tensor([0.9, 0.06, 0.04]), torch.tensor([10.0, 8.0, 0.0])
        >>> CVaR(rho=0.5).expectation(probs, values)
        tensor(8.9600)
        >>> CVaR(rho=0.5).worst_kernel(probs, values)
        tensor([0.8000, 0.1200, 0.0800])
        >>> next_value, eta = torch.tensor([[1.0], [3.0]]), torch.tensor([[2.0], [2.0]])
        >>> CVaR(rho=0.5).backup(next_value, eta)
        tensor([[0.],
                [2.]])
    """

    rho: float = 0.0

    name = "cvar"
    label = "CVaR"
    n_duals = 1
    dual_follows_value = True
    check_size = staticmethod(_check_tail)

    def backup(self, next_value: Tensor, dual_value: Tensor | None = None) -> Tensor:
        """``eta - (eta - V')_+ / (1 - rho)``, of the shape of ``next_value``; ``V'`` at rho 0."""
        (eta,) = self.duals(next_value, dual_value)
        if self.rho == 0.0:
            return unused(next_value, eta)  # the best eta is infinite
        return eta - torch.relu(eta - next_value) / (1.0 - self.rho)

    def expectation(self, probs: Tensor, values: Tensor) -> Tensor:
        """Mean of the worst ``1 - rho`` of the outcomes, ``[...]``."""
        probs, values = self.rows(probs, values)
        return (self._tail(probs, values) * values).sum(-1)

    def worst_kernel(self, probs: Tensor, values: Tensor) -> Tensor:
        """Mass of the worst outcomes, first to last, times ``1 / (1 - rho)`` until it is 1."""
        return self._tail(*self.rows(probs, values))

    def contains(self, probs: Tensor, other: Tensor, atol: float = 1e-9) -> Tensor:
        """Which rows have no outcome more likely by a factor above ``1 / (1 - rho)``.

        Examples:
            >>> probs = torch.tensor([0.5, 0.5])
            >>> CVaR(rho=0.5).contains(probs, torch.tensor([1.0, 0.0]))
            tensor(True)
        """
        most = probs / (1.0 - self.rho)
        rounding = torch.finfo(most.dtype).eps * most
        inside = (other <= most + rounding + atol).all(-1)
        return self.are_distributions(probs, other, atol) & inside

    def _tail(self, probs: Tensor, values: Tensor) -> Tensor:
        """The worst kernel of checked rows."""
        if self.rho == 0.0:
            return probs.clone()
        worst_first = values.argsort(-1)
        mass = probs.gather(-1, worst_first)
        left = 1.0 - self.rho - (mass.cumsum(-1) - mass)
        kept = torch.minimum(left.clamp_min(0.0), mass) / (1.0 - self.rho)
        return torch.zeros_like(probs).scatter(-1, worst_first, kept)
