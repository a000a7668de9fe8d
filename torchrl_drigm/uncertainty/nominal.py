"""No uncertainty: the nominal model alone."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from torchrl_drigm.uncertainty.base import UncertaintySet

__all__ = ["Nominal"]


@dataclass(frozen=True)
class Nominal(UncertaintySet):
    r"""The nominal kernel alone: :math:`\sigma(V') = V'`.

    Examples:
        >>> probs, values = torch.tensor([0.5, 0.5, 0.0]), torch.tensor([1.0, 3.0, 0.0])
        >>> Nominal().expectation(probs, values)
        tensor(2.)
    """

    name = "none"
    label = "nominal"

    def affine(self) -> tuple[float, float]:
        """1 and 0."""
        return 1.0, 0.0

    def backup(self, next_value: Tensor, dual_value: Tensor | None = None) -> Tensor:
        """``V'`` itself."""
        return next_value

    def worst_kernel(self, probs: Tensor, values: Tensor) -> Tensor:
        """The nominal kernel."""
        return self.rows(probs, values)[0].clone()

    def contains(self, probs: Tensor, other: Tensor, atol: float = 1e-9) -> Tensor:
        """Which rows are the nominal ones."""
        return self.are_distributions(probs, other, atol) & ((other - probs).abs() <= atol).all(-1)

    def sample(self, probs: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The nominal kernel."""
        return probs.clone()
