"""Kernels drawn at random from sets.

Axes: ``...`` rows of a kernel, ``S'`` next states.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def uniform(probs: Tensor, generator: torch.Generator | None) -> Callable[..., Tensor]:
    """A function of a shape that draws uniform numbers of the type of ``probs``."""

    def rand(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, dtype=probs.dtype)

    return rand


def near_a_corner(rand: Callable[..., Tensor], shape: torch.Size) -> Tensor:
    """Random distributions ``[..., S']``, from anywhere in the simplex to close to a corner."""
    # a high power of exponential weights is close to a corner
    weights = (-torch.log1p(-rand(*shape))) ** (1.0 + 7.0 * rand(*shape[:-1], 1))
    return weights / weights.sum(-1, keepdim=True)


def reach(rand: Callable[..., Tensor], rows: torch.Size) -> Tensor:
    """How far to go towards the border, ``[*rows, 1]``: all the way in every second row or so."""
    return torch.where(rand(*rows, 1) < 0.5, torch.ones(()), rand(*rows, 1))


def as_far_as(
    inside: Callable[[Tensor], Tensor], start: Tensor, target: Tensor, halvings: int = 50
) -> Tensor:
    """How far from ``start`` to ``target`` a convex set goes that contains ``start``.

    Args:
        inside (callable): from rows ``[..., S']`` to which of them are in the set, ``[...]`` bool.
        start (Tensor): ``[..., S']``.
        target (Tensor): ``[..., S']``.
        halvings (int): steps of the bisection.

    Returns:
        Tensor ``[..., 1]``: share of the way, in [0, 1], rounded towards the start.
    """
    least, most = torch.zeros_like(start[..., :1]), torch.ones_like(start[..., :1])
    step = most
    for _ in range(halvings):
        within = inside((1 - step) * start + step * target).unsqueeze(-1)
        least, most = torch.where(within, step, least), torch.where(within, most, step)
        step = (least + most) / 2
    return least
