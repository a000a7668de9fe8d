"""What a building environment refuses: numbers, days and entries of a reset that do not exist.

Axes: ``B`` copies of the environment.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

from torchrl_drigm._days import DAYS_PER_YEAR, check_days

__all__ = [
    "DAYS_PER_YEAR",
    "check_at_least",
    "check_chosen",
    "check_days",
    "check_number",
    "check_option",
    "is_pair",
]

Option = TypeVar("Option")


def check_at_least(name: str, value: int, lowest: int) -> None:
    """Refuses a number that is no int, or too low.

    Raises:
        ValueError: naming the argument, its value and the bound.

    Examples:
        >>> check_at_least("num_envs", 1, 1)
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < lowest:
        raise ValueError(f"{name}={value!r} must be an int of at least {lowest}.")


def check_number(name: str, value: float, relation: str, holds: Callable[[float], bool]) -> None:
    """Refuses what is no finite number, or not in that relation.

    Raises:
        ValueError: naming the argument, its value and the relation.

    Examples:
        >>> check_number("rate", 0.5, "in [0, 1]", lambda rate: 0 <= rate <= 1)
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or not holds(value):
        raise ValueError(f"{name}={value!r} must be a finite number, {relation}.")


def check_option(name: str, cls: type[Option], value: Any) -> Option | None:
    """An option of an environment as its class: ``None``, an object of it, or its fields by name.

    Raises:
        ValueError: naming the option, its value and the fields there are, or the wrong field.
    """
    if value is None or isinstance(value, cls):
        return value
    known = list(cls.__dataclass_fields__)
    if not isinstance(value, Mapping) or not set(value) <= set(known):
        raise ValueError(
            f"{name}={value!r} must be None, a {cls.__name__}, or a mapping of its fields {known}."
        )
    try:
        return cls(**value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


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


def is_pair(value: object) -> bool:
    """Whether something is a sequence of two, and no string.

    Examples:
        >>> is_pair(("Hot_Dry", "Tucson")), is_pair("ab")
        (True, False)
    """
    return isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 2
