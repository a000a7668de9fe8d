"""Days of a year of weather."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["DAYS_PER_YEAR", "check_days"]

DAYS_PER_YEAR = 365


def check_days(days: tuple[int, int], wrap_days: bool) -> None:
    """Refuses days that the year does not have.

    Raises:
        ValueError: naming the days and the valid range.

    Examples:
        >>> check_days((0, 200), wrap_days=False)
    """
    valid = _is_pair(days) and all(isinstance(day, int) for day in days) and days[0] < days[1]
    if not valid:
        raise ValueError(f"days={days!r} must be a half-open range (lo, hi) with int lo < hi.")
    if not wrap_days and not 0 <= days[0] < days[1] <= DAYS_PER_YEAR:
        raise ValueError(
            f"days={days!r} must satisfy 0 <= lo < hi <= {DAYS_PER_YEAR}: the year has "
            f"{DAYS_PER_YEAR} days, and SustainGym would silently clip every later day to "
            f"one single episode. wrap_days=True takes days modulo {DAYS_PER_YEAR}."
        )


def _is_pair(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str) and len(value) == 2
