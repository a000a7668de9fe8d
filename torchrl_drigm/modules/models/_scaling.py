"""How a network brings its inputs to order one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def scaling(
    name: str,
    loc: Tensor | Sequence[float] | float | None,
    scale: Tensor | Sequence[float] | float | None,
    shape: tuple[int, ...],
    device: torch.device | str | None,
    n_agents: int = 1,
) -> tuple[Tensor, Tensor]:
    """Location and scale of an input, expanded to its shape; 0 and 1 where they are ``None``.

    Of agents that have one each, ``[A, F]``, it comes as ``[A, 1, F]``, which fits windows.

    Raises:
        ValueError: naming the input, for a scale that is not positive, or numbers that are not
            finite.

    Examples:
        >>> scaling("observation", 22.0, None, (2,), None)
        (tensor([22., 22.]), tensor([1., 1.]))
    """

    def buffer(value: Tensor | Sequence[float] | float) -> Tensor:
        value = torch.as_tensor(value, dtype=torch.get_default_dtype(), device=device)
        if value.ndim == 2:
            return value.expand(n_agents, *shape).unsqueeze(1).clone()
        return value.expand(shape).clone()

    loc = buffer(0.0 if loc is None else loc)
    scale = buffer(1.0 if scale is None else scale)
    if not ((scale > 0) & scale.isfinite()).all():
        raise ValueError(
            f"{name}_scale must be positive everywhere, and finite, received {scale.tolist()}. Use "
            "1 for a feature that is to stay as it is."
        )
    if not loc.isfinite().all():
        raise ValueError(
            f"{name}_loc must be finite, received {loc.tolist()}. Use 0 for a feature that is to "
            "stay as it is."
        )
    return loc, scale


def of_step(value: Tensor) -> Tensor:
    """A location or scale for single steps, without the dimension of windows."""
    return value.squeeze(-2) if value.ndim > 1 else value
