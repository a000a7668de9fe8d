"""Which number a day's return is shown as: normalised where that is defined, else as it is.

A normalisation belongs to one building: the return of a day grows with the number of zones and with
what the heating of each can do, so one building's scale says nothing in another.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

__all__ = ["RETURN_SCALES", "normalise_return"]

#: By building, the scale ``s`` of the normalised return ``(R + s) / s`` of a day's return ``R``,
#: which is summed over the agents. OfficeSmall's is the paper's (Eq. 33).
RETURN_SCALES: dict[str, float] = {"OfficeSmall": 9000.0}

# Columns of results by preference, and what tables and plots call them.
MEASURES = {"normalized_return": "normalised return", "return": "raw return"}


def normalise_return(value: Any, building: str) -> Any:
    """Normalised return of a day: 1 is perfect, and below 0 is possible and common.

    Args:
        value: the team's return, summed over a day; a number or an array.
        building: one of :data:`RETURN_SCALES`.

    Returns:
        As ``value``.

    Raises:
        ValueError: no normalisation of this building is known.

    Example:
        >>> normalise_return(-900.0, "OfficeSmall")
        0.9
    """
    if building not in RETURN_SCALES:
        raise ValueError(
            f"building={building!r} has no normalised return, which is known for "
            f"{', '.join(RETURN_SCALES)} only: use the return itself, or add the building's scale "
            "to torchrl_drigm.evaluation.RETURN_SCALES."
        )
    scale = RETURN_SCALES[building]
    return (value + scale) / scale


def shown_measure(*tables: pd.DataFrame) -> str:
    """The normalised return, if every row of every table has one; else the return."""
    column = "normalized_return"
    complete = all(column in table and table[column].notna().all() for table in tables)
    return column if complete else "return"
