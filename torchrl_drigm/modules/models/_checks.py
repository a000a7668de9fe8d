"""Checks that the networks share."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.compiler import is_compiling


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
    if tuple(state.shape[n_batch_dims:]) != state_shape:
        raise ValueError(
            f"{owner}: expected state of shape [*B, *{list(state_shape)}], received "
            f"{list(state.shape)}. Pass the global state, without an agent dimension."
        )
    return state.shape[:n_batch_dims]


def is_integral(x: Tensor) -> bool:
    """Whether a tensor holds integers, and no flags."""
    return not (x.is_floating_point() or x.is_complex() or x.dtype == torch.bool)


def as_actions(name: str, action: Tensor, n_actions: int, none: bool = False) -> Tensor:
    """Categorical actions as int64, all of which exist.

    With ``none``, ``n_actions`` stands for no action. A GPU is not waited for: there an action that
    does not exist is an error of the device, which comes later.

    Raises:
        ValueError: naming the input, if its type is not one of integers.
        IndexError: naming the input, if an action is out of bounds.

    Examples:
        >>> as_actions("DRQN: action", torch.tensor([3, 0], dtype=torch.uint8), n_actions=4)
        tensor([3, 0])
    """
    if not is_integral(action):
        raise ValueError(
            f"{name} must be categorical, of an integer type, received {action.dtype}. Convert it "
            "with .long(); of one-hot actions take argmax(-1)."
        )
    action = action.long()
    last = n_actions if none else n_actions - 1
    message = f"{name} is out of bounds: actions must be from 0 to {last}."
    if is_compiling():
        if not torch._C._are_functorch_transforms_active():
            torch._assert_async(((action >= 0) & (action <= last)).all(), message)
        return action
    values = action
    # what a transform such as vmap wraps has no values of its own to look at
    while torch._C._functorch.is_functorch_wrapped_tensor(values):
        values = torch._C._functorch.get_unwrapped(values)
    if values.device.type != "cpu":
        torch._assert_async(((values >= 0) & (values <= last)).all(), message)
    elif values.numel() > 0:
        low, high = (bound.item() for bound in values.aminmax())
        if low < 0 or high > last:
            raise IndexError(f"{message[:-1]}, received {low} to {high}.")
    return action


def as_flags(name: str, flags: Tensor) -> Tensor:
    """Flags as booleans, from any type that holds 0 and 1 alone.

    Raises:
        ValueError: naming the flags, for another number or one that is not finite.

    Examples:
        >>> as_flags("is_init", torch.tensor([0.0, 1.0]))
        tensor([False,  True])
    """
    if flags.dtype == torch.bool:
        return flags
    other = (flags != 0) & (flags != 1)
    if not (is_compiling() or torch._C._are_functorch_transforms_active()) and other.any():
        raise ValueError(
            f"{name} must hold True and False, or 0 and 1, received {flags[other][0].item()} among "
            f"its {flags.dtype} entries. Convert it: flags > 0."
        )
    return flags != 0
