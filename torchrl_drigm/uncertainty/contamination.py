"""Contamination: with some probability the next state is the adversary's choice."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from torchrl_drigm.uncertainty._sampling import near_a_corner, uniform
from torchrl_drigm.uncertainty.base import UncertaintySet

__all__ = ["Contamination"]


@dataclass(frozen=True)
class Contamination(UncertaintySet):
    r"""The :math:`\rho`-contamination set :math:`(1 - \rho) P^0 + \rho\nu` (Eq. 7).

    .. math::
        \sigma(V') = (1 - \rho)\,\mathbb E[V'] + \rho v

    It is affine, so one sample of the next state is enough. With a constant worst value it is the
    nominal model with discount :math:`\gamma(1-\rho)` and a constant added to the reward.

    Args:
        rho (float): probability with which the adversary chooses, in [0, 1].
        worst_value (float, optional): value of the fail state that :math:`\nu` is, in units of
            return; ``None`` lets :math:`\nu` be any distribution over the states of a model.
            Against a fail state that is better than the expectation this set is *optimistic*: its
            adversary must act.

    Examples:
        >>> probs, values = torch.tensor([0.5, 0.5, 0.0]), torch.tensor([1.0, 3.0, 0.0])
        >>> Contamination(rho=0.25).expectation(probs, values)
        tensor(1.5000)
        >>> Contamination(rho=0.25).worst_kernel(probs, values)
        tensor([0.3750, 0.3750, 0.2500])
        >>> Contamination(rho=0.5, worst_value=-2.0).backup(torch.tensor([[1.0], [3.0]]))
        tensor([[-0.5000],
                [ 0.5000]])
    """

    rho: float = 0.0
    worst_value: float | None = None

    name = "contamination"
    label = "contamination"

    def affine(self) -> tuple[float, float]:
        """``1 - rho`` and ``rho v``."""
        return 1.0 - self.rho, self.rho * self.fail_value()

    def expectation(self, probs: Tensor, values: Tensor) -> Tensor:
        """``(1 - rho) E[V] + rho v``, ``[...]``."""
        probs, values = self.rows(probs, values)
        expectation = (probs * values).sum(-1)
        if self.worst_value is None:
            worst = values.min(-1).values
        else:
            worst = expectation.new_tensor(self.worst_value)
        return (1.0 - self.rho) * expectation + self.rho * worst

    def worst_kernel(self, probs: Tensor, values: Tensor) -> Tensor:
        """A share ``rho`` of all mass goes to the first state of the smallest value, or fails."""
        probs, values = self.rows(probs, values)
        taken = self.rho * probs
        return self.moved_to_the_worst(probs, taken, values)

    def contains(self, probs: Tensor, other: Tensor, atol: float = 1e-9) -> Tensor:
        """Which rows hold ``1 - rho`` of every nominal probability; beside a fail state no more.

        Examples:
            >>> probs = torch.tensor([0.5, 0.5])
            >>> Contamination(rho=0.25).contains(probs, torch.tensor([0.75, 0.25]))
            tensor(False)
        """
        inside = self.are_distributions(probs, other, atol)
        states, floor = other[..., : probs.shape[-1]], (1.0 - self.rho) * probs
        inside = inside & (states >= floor - atol).all(-1)
        if self.worst_value is None:
            return inside
        return inside & (states <= floor + atol).all(-1)

    def sample(self, probs: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Any distribution for the adversary's share; with a fail state there is but one."""
        if self.worst_value is not None:
            part = self.rho * torch.ones_like(probs)
            return torch.cat([probs * (1 - part), (probs * part).sum(-1, keepdim=True)], -1)
        target = near_a_corner(uniform(probs, generator), probs.shape)
        return (1 - self.rho) * probs + self.rho * target
