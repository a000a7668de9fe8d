"""Which number an episode is shown by."""

from __future__ import annotations

import pandas as pd

__all__ = ["MEASURES", "shown_measure"]

#: Columns of results by preference, and what tables and plots call them.
MEASURES = {
    "won": "win rate",
    "normalized_return": "normalised return",
    "return": "raw return",
}


def shown_measure(*tables: pd.DataFrame) -> str:
    """The first of :data:`MEASURES` that every row of every table has; the return, if none."""
    for column in MEASURES:
        if all(column in table and table[column].notna().all() for table in tables):
            return column
    return "return"
