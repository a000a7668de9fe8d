"""Rows of kernels, and what is refused in them.

Axes: ``...`` rows of a kernel, ``S'`` next states.
"""

from __future__ import annotations

import torch
from torch import Tensor


def as_rows(probs: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Probabilities and values, both as ``[..., S']`` in one floating-point type.

    Args:
        probs (Tensor): nominal probabilities, ``[..., S']``.
        values (Tensor): values of the next states, ``[S']``, or ``[..., S']`` of its own for every
            row.

    Raises:
        ValueError: for values of another shape or that are not finite, and rows that are no
            distributions.

    Examples:
        >>> as_rows(torch.full((2, 2), 0.5), torch.tensor([1, 3]))[1]
        tensor([[1., 3.],
                [1., 3.]])
    """
    if values.shape not in (probs.shape, probs.shape[-1:]) or not values.isfinite().all():
        raise ValueError(
            f"values must be one finite number per next state, [S'] = {list(probs.shape[-1:])}, or "
            f"per entry of probs, {list(probs.shape)}, got {list(values.shape)}, "
            f"{int((~values.isfinite()).sum())} of them not finite. Leave out outcomes that cannot "
            "happen, or give them a value."
        )
    dtype = torch.promote_types(values.dtype, probs.dtype)
    if not dtype.is_floating_point:
        dtype = torch.get_default_dtype()
    probs, values = probs.to(dtype), values.to(dtype).expand_as(probs)
    total = probs.sum(-1)
    # written so that a NaN fails it too
    if not ((probs >= 0).all() and torch.allclose(total, torch.ones_like(total), atol=1e-5)):
        raise ValueError(
            "probs must be non-negative and sum to 1 over the last dimension, got sums between "
            f"{total.min().item():.6g} and {total.max().item():.6g} and smallest entry "
            f"{probs.min().item():.6g}."
        )
    return probs, values


def are_distributions(
    probs: Tensor, other: Tensor, atol: float, *, fail_state: bool = False
) -> Tensor:
    """Which rows of another kernel are distributions at all.

    Args:
        probs (Tensor): nominal probabilities, ``[..., S']``.
        other (Tensor): candidates, ``[..., S']``, with a fail state ``[..., S' + 1]``.
        atol (float): slack per entry.
        fail_state (bool): whether there is a fail state.

    Returns:
        Tensor ``[...]`` bool.

    Raises:
        ValueError: if ``other`` has another shape.

    Examples:
        >>> are_distributions(torch.ones(1), torch.tensor([0.5]), atol=1e-9)
        tensor(False)
    """
    n_states = probs.shape[-1]
    expected = (*probs.shape[:-1], n_states + fail_state)
    if other.shape != expected:
        raise ValueError(
            f"other must have the shape {list(expected)}, got {list(other.shape)}: a set with "
            "a worst_value has the probability of its fail state last, others have none."
        )
    total = other.sum(-1) - 1.0
    rounding = torch.finfo(other.dtype).eps
    return (other >= -atol).all(-1) & (total.abs() <= n_states * (atol + rounding))
