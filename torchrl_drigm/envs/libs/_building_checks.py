"""What a building environment refuses: numbers and days that do not exist; without PyTorch."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from torchrl_drigm._days import DAYS_PER_YEAR, check_days

__all__ = [
    "DAYS_PER_YEAR",
    "check_at_least",
    "check_days",
    "check_number",
    "check_option",
    "is_pair",
    "require_sustaingym",
]

Option = TypeVar("Option")
_has_sustaingym = importlib.util.find_spec("sustaingym") is not None


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


def is_pair(value: object) -> bool:
    """Whether something is a sequence of two, and no string.

    Examples:
        >>> is_pair(("Hot_Dry", "Tucson")), is_pair("ab")
        (True, False)
    """
    return isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 2


def require_sustaingym(name: str, *others: str) -> None:
    """Raises an ``ImportError`` with the install command where SustainGym, or another, is missing.

    Its other extras bring SustainGym without what buildings need.
    """
    if not _has_sustaingym or any(importlib.util.find_spec(other) is None for other in others):
        raise ImportError(
            f'{name} needs SustainGym: pip install "torchrl_drigm[sustaingym]" installs it.'
        )
