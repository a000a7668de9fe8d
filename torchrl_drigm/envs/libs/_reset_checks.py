"""Entries of a reset that an environment refuses.

Axes: ``B`` copies of the environment.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["check_chosen"]


def check_chosen(name: str, value: Tensor, reset: Tensor, bound: int | None) -> Tensor:
    """The entry ``name`` of a reset as ``[B]``, checked where it counts.

    Args:
        name (str): of the entry.
        value (Tensor): integers ``[B]`` or ``[B, 1]``.
        reset (Tensor): bool ``[B]``, the copies that are reset.
        bound (int, optional): what entries must be below. Default: nothing.

    Raises:
        ValueError: naming the entry, for another shape or type, or numbers out of bounds.
    """
    batch = tuple(reset.shape)
    if value.shape not in {batch, (*batch, 1)}:
        raise ValueError(
            f"reset: {name!r} has shape {tuple(value.shape)}; expected {batch} or {(*batch, 1)}."
        )
    if value.is_floating_point() or value.dtype == torch.bool:
        raise ValueError(f"reset: {name!r} has dtype {value.dtype}; expected torch.int64.")
    value = value.flatten().to(reset.device)
    if bound is not None:
        bad = reset & ((value < 0) | (value >= bound))
        if bad.any():
            entries = dict(zip(bad.nonzero().flatten().tolist(), value[bad].tolist(), strict=True))
            raise ValueError(
                f"reset: {name!r} must be in [0, {bound}); bad entries by copy: {entries}."
            )
    return value
