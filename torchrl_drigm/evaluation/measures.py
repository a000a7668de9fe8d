"""Which number an episode is shown by."""

from __future__ import annotations

import pandas as pd

__all__ = ["MEASURES", "SCORES", "shown_measure"]

#: Columns of results by preference, and what tables and plots call them.
MEASURES = {"normalized_return": "normalised return", "return": "raw return"}
#: What a value of a parameter is worth: of its means over the seeds, one for each shift.
SCORES = {"mean": "mean over the shifts", "worst": "worst shift"}


def shown_measure(*tables: pd.DataFrame) -> tuple[str, str]:
    """The column that every row of every table has, and what it is called.

    That is the measure of their task, which :func:`~torchrl_drigm.evaluation.evaluate` notes in
    ``attrs["measure"]``; otherwise the first of :data:`MEASURES`; the return, if there is none.
    """
    own = tables[0].attrs.get("measure")
    for column, label in [*([own] if own else []), *MEASURES.items()]:
        if all(column in table and table[column].notna().all() for table in tables):
            return column, label
    return "return", MEASURES["return"]
