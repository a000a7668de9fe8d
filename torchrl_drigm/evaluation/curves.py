"""Scores over the severity of a shift, as one number per seed."""

from __future__ import annotations

import numpy as np
import pandas as pd

from torchrl_drigm.evaluation.scores import check_comparable, method_column, score_column
from torchrl_drigm.evaluation.statistics import check_table

__all__ = ["severity_areas"]


def severity_areas(results: pd.DataFrame) -> pd.DataFrame:
    """Area under the curve of the mean score over the level of an axis, divided by its range.

    By trapezoids, so that levels need not be equally far apart: a score that is the same at all
    levels is its own area. Levels are the axis' own unit, and areas of two axes, or of other
    levels, are no numbers to compare.

    Args:
        results: as of :func:`~torchrl_drigm.evaluation.seed_scores`, with the further columns
            ``axis``, what is shifted, and ``level``, a number that says how far. Rows without an
            axis, such as those of the nominal environment, are on no curve; an axis that it belongs
            to has it as a level.

    Returns:
        One row per method, axis and seed, in the order in which they first appear, with the columns
        ``policy``, ``axis``, ``seed`` and ``area``.

    Raises:
        ValueError: as :func:`~torchrl_drigm.evaluation.check_comparable`, and for columns that are
            missing, levels that are no finite numbers, an axis with a single level or a table
            without any axis.

    Example:
        >>> rows = pd.DataFrame({"policy": "QMIX", "seed": 0, "axis": "noise", "shift": list("abc"),
        ...                      "level": [0.0, 1.0, 4.0], "return": [8.0, 6.0, 0.0]})
        >>> severity_areas(rows)  # (7 · 1 + 3 · 3) / 4
          policy   axis  seed  area
        0   QMIX  noise     0   4.0
    """
    method, (column, _) = method_column(results), score_column(results)
    check_table("results", results, [method, "seed", "shift", "axis", "level", column])
    check_comparable(results)
    rows = results[results["axis"].notna()].astype({column: float})
    if rows.empty:
        raise ValueError("results has no row with an axis: there is no curve.")
    levels = pd.to_numeric(rows["level"], errors="coerce").astype(float)
    if not np.isfinite(levels).all():
        bad = rows[~np.isfinite(levels)].iloc[0]
        raise ValueError(
            f"level={bad['level']!r} of the shift {bad['shift']!r} on the axis {bad['axis']!r} "
            "must be a finite number."
        )
    rows = rows.assign(level=levels)
    for axis, own in rows.groupby("axis", sort=False)["level"]:
        if own.nunique() < 2:
            raise ValueError(
                f"the axis {axis!r} has the level {own.iloc[0]:g} alone: an area needs two."
            )
    keys = [method, "axis", "seed"]
    means = rows.groupby([*keys, "level"], sort=False)[column].mean().reset_index("level")
    areas = [
        (*key, _mean_height(curve["level"].to_numpy(), curve[column].to_numpy()))
        for key, curve in means.sort_values("level").groupby(keys, sort=False)
    ]
    found = pd.DataFrame(areas, columns=["policy", "axis", "seed", "area"])
    order = means.index.unique()  # as rows first appear; sorted by level they need not be
    return found.set_index(["policy", "axis", "seed"]).loc[order].reset_index(names=list(found)[:3])


def _mean_height(levels: np.ndarray, scores: np.ndarray) -> float:
    return float(np.trapezoid(scores, levels) / (levels[-1] - levels[0]))
