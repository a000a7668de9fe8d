"""Shifts along an axis: the same thing changed by more and more, to be drawn as a curve."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from torchrl_drigm._numbers import is_finite_real

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["shifts_along"]

#: Where a shift stands: the name of its axis, and its place on it. They change nothing that is
#: played, and every task takes them.
MARKS = ("axis", "level")


def shifts_along(
    axis: str, word: str, levels: Sequence[float], name: str | None = None
) -> list[dict[str, Any]]:
    """Shifts that differ in one word alone, whose value is their level.

    Args:
        axis (str): what the axis is called, its unit in brackets if it has one.
        word (str): what changes, a word of the task's.
        levels (sequence of float): its values, that of training first.
        name (str, optional): of a shift, with ``{:g}`` for the level. Default: the axis, without
            its unit, and the level.

    Examples:
        >>> shifts_along("enemy damage", "enemy_damage", [1.0, 1.5], "damage x {:g}")[1]
        {'name': 'damage x 1.5', 'enemy_damage': 1.5, 'axis': 'enemy damage', 'level': 1.5}
    """
    name = f"{axis.partition(' (')[0]} {{:g}}" if name is None else name
    return [
        {"name": name.format(level), word: level, "axis": axis, "level": level} for level in levels
    ]


def without_marks(shift: dict[str, Any]) -> dict[str, Any]:
    """What a shift is called and changes, without where it stands on an axis.

    Examples:
        >>> without_marks({"name": "hot", "days": (150, 240), "axis": "day", "level": 150})
        {'name': 'hot', 'days': (150, 240)}
    """
    return {word: value for word, value in shift.items() if word not in MARKS}


def wrong_marks(shift: dict[str, Any]) -> str | None:
    """What is wrong with a shift's axis and level, as a sentence; ``None`` if nothing is.

    Examples:
        >>> wrong_marks({"axis": "noise", "level": "high"})
        "level='high' must be a finite number, the shift's place on its axis."
    """
    given = [word for word in MARKS if word in shift]
    if len(given) == 1:
        return f"it has {given[0]!r} alone: axis and level stand together."
    if not given:
        return None
    if not isinstance(shift["axis"], str) or not shift["axis"]:
        return f"axis={shift['axis']!r} must be what the axis is called."
    if not is_finite_real(shift["level"]):
        return f"level={shift['level']!r} must be a finite number, the shift's place on its axis."
    return None


def add_marks(results: pd.DataFrame, shifts: Iterable[dict[str, Any]]) -> None:
    """Writes the columns ``axis`` and ``level`` behind ``shift``, if a shift has them.

    They are empty in rows of the other shifts.
    """
    marked = [shift for shift in shifts if "level" in shift]
    if not marked:
        return
    place = results.columns.get_loc("shift") + 1
    levels = results["shift"].map({shift["name"]: float(shift["level"]) for shift in marked})
    axes = results["shift"].map({shift["name"]: shift["axis"] for shift in marked})
    results.insert(place, "axis", axes)
    results.insert(place + 1, "level", levels)
