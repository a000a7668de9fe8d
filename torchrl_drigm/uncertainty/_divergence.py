r"""Balls of an f-divergence: what KL and χ² share.

For a convex :math:`f` with :math:`f(1) = f'(1) = 0` the ball
:math:`\{P : \mathbb E_{P^0} f(dP/dP^0) \le \rho\}` has the worst case

.. math::
    \sigma(V') = \sup_{\eta,\,\lambda > 0}\;
        \mathbb E\left[\eta - \lambda f^*\!\left(\frac{\eta - V'}{\lambda}\right)\right]
        - \lambda\rho

with the conjugate :math:`f^*(z) = \sup_t (tz - f(t))` (Ben-Tal et al., 2013; Namkoong and Duchi,
2016), an expectation, so that one sample of the next state is enough. The density of the worst
distribution at ``V'`` is :math:`f^{*\prime}((\eta - V')/\lambda)`.

Axes: ``*B`` batch of samples; ``...`` rows of a kernel, ``S'`` next states.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import softplus

from torchrl_drigm.uncertainty._duals import unused
from torchrl_drigm.uncertainty.base import UncertaintySet, check_radius

# Outcomes less probable than this are weighed no more, by what is learned, than one of it.
LEAST_PROBABILITY = 1e-2


@dataclass(frozen=True)
class DivergenceBall(UncertaintySet):
    """The ball of an f-divergence around the nominal distribution; a subclass gives the f.

    What is learned continues f* by its tangent from the point on where the density would exceed a
    bound: while eta lags behind the values, the exponential of it, or the square, would take the
    target with it. That is exactly the dual of the ball's part with a bounded density, so still a
    lower bound of that part's worst case, and linear where ``eta`` is far off. The bound is the
    largest density that the ball leaves to an outcome of probability :data:`LEAST_PROBABILITY`;
    those more probable never reach it, and the worst case is that of the whole ball.

    Attributes:
        curvature (float): second derivative of f at 1.
        lowest (float): the conjugate is constant below.
    """

    rho: float = 0.0

    n_duals = 2
    dual_follows_value = True
    check_size = staticmethod(check_radius)
    curvature: ClassVar[float]
    lowest: ClassVar[float]

    def __post_init__(self) -> None:
        super().__post_init__()
        # here, so that compiled code finds two numbers
        object.__setattr__(self, "_learned", _learned(type(self), self.rho))

    # ---- what a subclass gives

    @staticmethod
    def divergence_at(density: Tensor) -> Tensor:
        """f, element by element."""
        raise NotImplementedError

    @staticmethod
    def conjugate(slope: Tensor) -> Tensor:
        """f*, element by element, for arguments from :attr:`lowest` on."""
        raise NotImplementedError

    @staticmethod
    def slope_of(density: float) -> float:
        """Where the derivative of f* is a density: f' of it."""
        raise NotImplementedError

    def tilted(self, probs: Tensor, values: Tensor, parameter: Tensor) -> Tensor:
        """Weights of the worst distributions by one parameter, ``[..., S']``.

        Args:
            probs (Tensor): ``[..., S']``.
            values (Tensor): in [0, 1], 0 the lowest, ``[..., S']``.
            parameter (Tensor): ``[..., 1]``; the smaller, the more goes to the lowest values.
        """
        raise NotImplementedError

    def mildest(self, probs: Tensor, values: Tensor) -> Tensor:
        """A parameter of :meth:`tilted` that is surely in the set, ``[..., 1]``."""
        raise NotImplementedError

    # ---- learning

    def backup(self, next_value: Tensor, dual_value: Tensor | None = None) -> Tensor:
        """``eta - lam f*((eta - V') / lam) - lam rho``; ``V'`` at rho 0."""
        eta, spread = self.duals(next_value, dual_value)
        if self.rho == 0.0:
            return unused(next_value, eta, spread)  # the best lam is infinite
        rho, steepest = self._learned
        # For a small rho the best lam is a standard deviation of V' times this: so both duals are
        # in units of return, whatever rho is.
        per_spread = (2 * self.curvature * max(rho, 1e-12)) ** -0.5
        lam = (softplus(spread) + 1e-12) * per_spread
        short, knee = eta - next_value, lam * self.slope_of(steepest)
        # clamped before it is divided, so that nothing overflows, in gradients neither
        curved = torch.clamp(short, self.lowest * lam, knee) / lam
        return eta - lam * (self.conjugate(curved) + rho) - steepest * torch.relu(short - knee)

    # ---- exact models

    @torch.no_grad()  # so that expectation() has the gradient of an infimum: the worst kernel
    def worst_kernel(self, probs: Tensor, values: Tensor) -> Tensor:
        """The tilted nominal distribution whose divergence is ``rho``, or the lowest values."""
        rows, values = self.rows(probs, values)
        if self.rho < 1e-30:  # densities within 1e-15 of 1, which no double tells from it
            return rows.clone()
        probs, values = rows.double(), values.double()
        probs = probs / probs.sum(-1, keepdim=True)
        reached = probs > 0
        lowest = torch.where(reached, values, torch.inf).amin(-1, keepdim=True)
        above = torch.where(reached, values - lowest, 0.0)
        spread = above.amax(-1, keepdim=True)
        above = above / torch.where(spread > 0, spread, 1.0)

        def at(parameter: Tensor) -> Tensor:
            weights = self.tilted(probs, above, parameter)
            return weights / weights.sum(-1, keepdim=True)

        most = 2 * self.mildest(probs, above)
        least = torch.zeros_like(most)
        for _ in range(60):
            middle = (least + most) / 2
            inside = (self.divergence(probs, at(middle)) <= self.rho).unsqueeze(-1)
            least, most = torch.where(inside, least, middle), torch.where(inside, middle, most)
        return torch.where(spread > 0, at(most), probs).to(rows.dtype)

    def contains(self, probs: Tensor, other: Tensor, atol: float = 1e-9) -> Tensor:
        """Which rows are distributions within ``rho`` of the nominal ones."""
        inside = self.are_distributions(probs, other, atol)
        # the root, as a divergence grows with the square of the distance
        slack = atol + 4 * torch.finfo(other.dtype).eps
        return inside & (self.divergence(probs, other) <= (self.rho**0.5 + slack) ** 2)

    def divergence(self, probs: Tensor, other: Tensor) -> Tensor:
        """That of each row, ``[...]``; infinite where mass comes out of nothing.

        Args:
            probs (Tensor): nominal probabilities, ``[..., S']``.
            other (Tensor): other ones, ``[..., S']``.
        """
        probs = probs / probs.sum(-1, keepdim=True)  # which may be off by rounding
        density = torch.where(other > 0, other, 0.0) / torch.where(probs > 0, probs, 1.0)
        terms = probs * self.divergence_at(density)
        return torch.where(other > probs, torch.where(probs > 0, terms, torch.inf), terms).sum(-1)


def _learned(ball: type[DivergenceBall], rho: float) -> tuple[float, float]:
    """Radius and largest density of the part of a ball that is learned.

    Of two outcomes, one of :data:`LEAST_PROBABILITY`: as no divergence grows by telling fewer
    outcomes apart, no density of an outcome as probable is larger than here.
    """
    p = LEAST_PROBABILITY

    def divergence(density: float) -> float:
        other = max(0.0, (1 - p * density) / (1 - p))
        densities = torch.tensor([density, other], dtype=torch.float64, device="cpu")
        one, rest = ball.divergence_at(densities).tolist()
        return p * one + (1 - p) * rest

    least, most = 1.0, 1 / p
    if rho >= divergence(most):
        return divergence(most), most
    for _ in range(60):
        middle = (least + most) / 2
        least, most = (middle, most) if divergence(middle) <= rho else (least, middle)
    return rho, most
