"""Markdown tables of means over runs, a column for each shift."""

from __future__ import annotations

import pandas as pd

from torchrl_drigm.evaluation.measures import MEASURES
from torchrl_drigm.evaluation.statistics import shift_title

__all__ = ["by_shift", "cell", "over_the_seeds"]


def over_the_seeds(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """Mean, standard error and number of runs of each policy in each shift."""
    keys = ["policy", "kind", "mixer", "uncertainty", "shift", "axis", "level", "location"]
    keys = [key for key in keys if key in rows]
    grouped = rows.groupby(keys, sort=False, dropna=False)[column]
    return grouped.agg(mean="mean", standard_error="sem", n="size").reset_index()


def by_shift(scores: pd.DataFrame, label: str) -> str:
    """A row per policy: its runs, and mean ± standard error of each shift."""
    digits = 1 if label == MEASURES["return"] else 3
    shifts = list(scores["shift"].unique())
    places = dict(zip(scores["shift"], scores.get("location", [None] * len(scores)), strict=True))
    head = " | ".join(shift_title(shift, places[shift]) for shift in shifts)
    lines = [f"| | runs | {head} |", "|---" * (len(shifts) + 2) + "|"]
    for policy, own in scores.groupby("policy", sort=False):
        cells = {row.shift: cell(row, digits) for row in own.itertuples()}
        values = " | ".join(cells.get(shift, "-") for shift in shifts)
        lines.append(f"| {policy} | {own['n'].iloc[0]} | {values} |")
    return "\n".join(lines)


def cell(row, digits: int = 3) -> str:
    """Mean ± standard error; of one run the mean alone."""
    error = "" if pd.isna(row.standard_error) else f" ± {row.standard_error:.{digits}f}"
    return f"{row.mean:.{digits}f}{error}"
