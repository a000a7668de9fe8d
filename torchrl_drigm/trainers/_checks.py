"""A check of a config that several builders need."""

from __future__ import annotations

from collections.abc import Collection

__all__ = ["check_choice"]


def check_choice(field: str, value: str, choices: Collection[str]) -> str:
    """``value``, if it is one of the choices."""
    if value not in choices:
        raise ValueError(f"{field}={value!r} must be one of {list(choices)}.")
    return value
