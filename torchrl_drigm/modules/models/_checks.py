"""Checks that the networks share."""

from __future__ import annotations

from torch import Tensor


def check_sizes(owner: str, **sizes: int) -> None:
    """Refuse a size below 1.

    Raises:
        ValueError: naming the network, the argument, its value and the valid range.

    Examples:
        >>> check_sizes("DRQN", n_agents=6)
    """
    for name, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise ValueError(f"{owner}: {name} must be an int of at least 1, received {size!r}.")


def state_batch_shape(owner: str, state: Tensor, state_shape: tuple[int, ...]) -> tuple[int, ...]:
    """The batch dimensions ``*B`` of a global state ``[*B, *state_shape]``.

    Raises:
        ValueError: naming the network, if the state has another shape.

    Examples:
        >>> import torch
        >>> tuple(state_batch_shape("DualNetwork", torch.zeros(64, 10), (10,)))
        (64,)
    """
    n_batch_dims = state.ndim - len(state_shape)
    if n_batch_dims < 0 or tuple(state.shape[n_batch_dims:]) != state_shape:
        raise ValueError(
            f"{owner}: expected state of shape [*B, *{list(state_shape)}], received "
            f"{list(state.shape)}. Pass the global state, without an agent dimension."
        )
    return state.shape[:n_batch_dims]
