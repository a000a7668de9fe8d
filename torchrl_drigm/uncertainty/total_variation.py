"""Total variation: the adversary moves some mass, from outcomes of its choice."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from torchrl_drigm.uncertainty._sampling import near_a_corner, reach, uniform
from torchrl_drigm.uncertainty.base import UncertaintySet

__all__ = ["TotalVariation"]


@dataclass(frozen=True)
class TotalVariation(UncertaintySet):
    r"""The ball :math:`\mathrm{TV}(P, P^0) \le \rho` (Eq. 9).

    The adversary takes up to :math:`\rho` of the mass from the best outcomes. In dual form (Eq. 10,
    29)

    .. math::
        \sigma(V') = \sup_\eta\;
            \mathbb E\left[\eta - (\eta - V')_+ - \rho (\eta - v)_+\right],

    attained by a :math:`(1-\rho)`-quantile of ``V'``, or ``v`` where that is larger.

    Args:
        rho (float): share of the mass that may be moved, in [0, 1].
        worst_value (float, optional): value of the fail state that it is moved to, in units of
            return; ``None`` lets it go to any state of a model. Mass whose outcome is worse than
            the fail state stays where it is.

    Examples:
        >>> probs, values = torch.tensor([0.5, 0.5, 0.0]), torch.tensor([1.0, 3.0, 0.0])
        >>> TotalVariation(rho=0.25).expectation(probs, values)
        tensor(1.2500)
        >>> TotalVariation(rho=0.25).worst_kernel(probs, values)
        tensor([0.5000, 0.2500, 0.2500])
        >>> TotalVariation(rho=0.25, worst_value=-1.0).worst_kernel(probs, values)
        tensor([0.5000, 0.2500, 0.0000, 0.2500])
        >>> next_value, eta = torch.tensor([[1.0], [3.0]]), torch.tensor([[2.0], [2.0]])
        >>> TotalVariation(rho=0.5, worst_value=0.0).backup(next_value, eta)
        tensor([[0.],
                [1.]])
    """

    rho: float = 0.0
    worst_value: float | None = None

    name = "tv"
    label = "TV"
    n_duals = 1

    def backup(self, next_value: Tensor, dual_value: Tensor | None = None) -> Tensor:
        """``eta - (eta - V')_+ - rho (eta - v)_+``, of the shape of ``next_value``."""
        (eta,) = self.duals(next_value, dual_value)
        # eta - (eta - V')_+ is min(eta, V'): one kernel, exact where the difference would round
        return torch.minimum(eta, next_value) - self.rho * torch.relu(eta - self.fail_value())

    def expectation(self, probs: Tensor, values: Tensor) -> Tensor:
        """``E[V]``, less what moving up to ``rho`` of the best outcomes costs, ``[...]``."""
        probs, values = self.rows(probs, values)
        v = self._target(values)
        best_first = values.argsort(-1, descending=True)
        expectation = (probs * values).sum(-1)
        values, probs = values.gather(-1, best_first), probs.gather(-1, best_first)
        moved = self._moved(probs)
        return expectation - (moved * torch.relu(values - v)).sum(-1)

    def worst_kernel(self, probs: Tensor, values: Tensor) -> Tensor:
        """Mass of the best outcomes goes to the first state of the smallest value, or fails."""
        probs, values = self.rows(probs, values)
        best_first = values.argsort(-1, descending=True)
        # Only what is better than the place it goes to is worth moving.
        movable = (probs * (values > self._target(values))).gather(-1, best_first)
        taken = torch.zeros_like(probs).scatter(-1, best_first, self._moved(movable))
        return self.moved_to_the_worst(probs, taken, values)

    def contains(self, probs: Tensor, other: Tensor, atol: float = 1e-9) -> Tensor:
        """Which rows lack at most ``rho``; beside a fail state no state gains.

        Examples:
            >>> probs = torch.tensor([0.5, 0.5])
            >>> TotalVariation(rho=0.25).contains(probs, torch.tensor([0.75, 0.25]))
            tensor(True)
        """
        inside = self.are_distributions(probs, other, atol)
        states = other[..., : probs.shape[-1]]
        gone = (probs - states).clamp_min(0.0).sum(-1)
        inside = inside & (gone <= self.rho + atol)
        if self.worst_value is None:
            return inside
        return inside & (states <= probs + atol).all(-1)

    def sample(self, probs: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Mass from states at random, to states at random or to the fail state."""
        rand, rows = uniform(probs, generator), probs.shape[:-1]
        if self.worst_value is not None:
            part = rand(*probs.shape)
            lost = (part * probs).sum(-1, keepdim=True)
            part = part * (self.rho * reach(rand, rows) / lost).clamp_max(1.0)
            return torch.cat([probs * (1 - part), (probs * part).sum(-1, keepdim=True)], -1)
        target = near_a_corner(rand, probs.shape)
        distance = 0.5 * (target - probs).abs().sum(-1, keepdim=True).clamp_min(1e-12)
        step = (self.rho * reach(rand, rows) / distance).clamp_max(1.0)
        return (1 - step) * probs + step * target

    def _target(self, values: Tensor) -> Tensor | float:
        """Value of the place that mass goes to, ``[..., 1]`` or one number."""
        if self.worst_value is None:
            return values.min(-1, keepdim=True).values
        return self.worst_value

    def _moved(self, best_first: Tensor) -> Tensor:
        """How much of each mass ``[..., S']``, best outcome first, is the first ``rho`` of all."""
        mass_above = best_first.cumsum(-1) - best_first
        return torch.minimum((self.rho - mass_above).clamp_min(0.0), best_first)
