"""Total variation whose adversary has to move its mass, be that harm or not."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from torchrl_drigm.uncertainty._sampling import uniform
from torchrl_drigm.uncertainty.total_variation import TotalVariation

__all__ = ["ForcedTotalVariation"]


@dataclass(frozen=True)
class ForcedTotalVariation(TotalVariation):
    r"""Total variation as the paper's Eq. 16 and 17 compute it whatever the sign of the values.

    .. math::
        \sigma(V') = \sup_\eta\;
            \mathbb E\left[\eta - (\eta - V')_+ - \rho (\eta - v)\right],

    :class:`TotalVariation` without the positive part around :math:`\eta - v`, which the range of
    :math:`\eta` in Eq. 10 makes superfluous: values of at least ``v``. There both are the same.
    Below ``v`` the adversary of this one still moves the best :math:`\rho` of all mass to the fail
    state, a *better* place, as that of contamination does, where that of the other one does
    nothing. So do the paper's released configuration and its experiments in buildings, whose
    values are all below :math:`v = 0`: with a next state that is certain
    :math:`\sigma = (1-\rho) V'`, nominal training with the discount :math:`\gamma(1-\rho)`.

    It has no name of its own in configs: ``uncertainty=tv
    uncertainty.name=torchrl_drigm.uncertainty.ForcedTotalVariation``, as ``preset=released`` does.

    Args:
        rho (float): share of the mass that is moved, in [0, 1].
        worst_value (float, optional): as that of :class:`TotalVariation`. With ``None`` there is no
            better place, and the two sets are the same.

    Examples:
        >>> next_value, eta = torch.tensor([[-10.0]]), torch.tensor([[-10.0]])
        >>> ForcedTotalVariation(rho=0.2, worst_value=0.0).backup(next_value, eta)
        tensor([[-8.]])
        >>> TotalVariation(rho=0.2, worst_value=0.0).backup(next_value, eta)
        tensor([[-10.]])
        >>> probs, values = torch.tensor([0.5, 0.5]), torch.tensor([-10.0, -20.0])
        >>> ForcedTotalVariation(rho=0.25, worst_value=0.0).worst_kernel(probs, values)
        tensor([0.2500, 0.5000, 0.2500])
    """

    name = ""

    def backup(self, next_value: Tensor, dual_value: Tensor | None = None) -> Tensor:
        """``eta - (eta - V')_+ - rho (eta - v)``, of the shape of ``next_value``."""
        (eta,) = self.duals(next_value, dual_value)
        return torch.minimum(eta, next_value) - self.rho * (eta - self.fail_value())

    def expectation(self, probs: Tensor, values: Tensor) -> Tensor:
        """``E[V]`` after the best ``rho`` of all mass has moved, ``[...]``."""
        if self.worst_value is None:
            return super().expectation(probs, values)
        probs, values = self.rows(probs, values)
        taken = self._best(probs, values)
        return (probs * values).sum(-1) - (taken * (values - self.worst_value)).sum(-1)

    def worst_kernel(self, probs: Tensor, values: Tensor) -> Tensor:
        """The best ``rho`` of all mass fails."""
        if self.worst_value is None:
            return super().worst_kernel(probs, values)
        probs, values = self.rows(probs, values)
        return self.moved_to_the_worst(probs, self._best(probs, values), values)

    def contains(self, probs: Tensor, other: Tensor, atol: float = 1e-9) -> Tensor:
        """Which rows lack ``rho``, no more and no less, which the fail state has.

        Examples:
            >>> probs, ball = torch.tensor([0.5, 0.5]), ForcedTotalVariation(0.25, worst_value=0.0)
            >>> others = torch.tensor([[0.25, 0.5, 0.25], [0.5, 0.5, 0.0]])
            >>> ball.contains(probs.expand(2, 2), others)
            tensor([ True, False])
        """
        inside = super().contains(probs, other, atol)
        if self.worst_value is None:
            return inside
        return inside & ((other[..., -1] - self.rho).abs() <= atol)

    def sample(self, probs: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Mass from states in a random order to the fail state."""
        if self.worst_value is None:
            return super().sample(probs, generator)
        taken = self._best(probs, uniform(probs, generator)(*probs.shape))
        return torch.cat([probs - taken, taken.sum(-1, keepdim=True)], -1)

    def _best(self, probs: Tensor, values: Tensor) -> Tensor:
        """``rho`` of the mass ``[..., S']``, that of the largest values."""
        best_first = values.argsort(-1, descending=True)
        moved = self._moved(probs.gather(-1, best_first))
        return torch.zeros_like(probs).scatter(-1, best_first, moved)
