"""Statistics of evaluation results, and their table."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from torchrl_drigm.evaluation.measures import MEASURES, shown_measure

__all__ = ["format_table", "mean_interval", "summarize"]

WIDTH = 140  # letters of a line of a table in the terminal


def mean_interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean of a few seeds, and half the width of its 95 % interval by Student's t.

    Args:
        values: one number per seed.

    Returns:
        The mean and the half width, NaN for a single seed.

    Raises:
        ValueError: without values, or for one that is not finite.

    Examples:
        >>> mean, half = mean_interval([1.0, 2.0, 3.0, 4.0, 5.0])
        >>> mean, round(half, 3)
        (3.0, 1.963)
    """
    from scipy.special import stdtrit  # here, as training imports this module and needs none of it

    values = np.asarray(values, dtype=float)
    if not values.size:
        raise ValueError("values must hold one number per seed, got none.")
    if values.ndim != 1 or not np.isfinite(values).all():
        raise ValueError(f"values must hold one finite number per seed, got {values.tolist()}.")
    if values.size == 1:
        return float(values[0]), float("nan")
    quantile = stdtrit(values.size - 1, 0.975)
    return float(values.mean()), float(quantile * values.std(ddof=1) / values.size**0.5)


def check_table(name: str, table: pd.DataFrame, columns: Sequence[str]) -> None:
    """Raises a ``ValueError`` where a table is empty or lacks one of the columns."""
    missing = [column for column in columns if column not in table]
    if missing:
        raise ValueError(f"{name} lacks the columns {missing}; it has {list(table.columns)}.")
    if table.empty:
        raise ValueError(f"{name} has no rows: there is nothing to show.")


def summarize(results: pd.DataFrame) -> pd.DataFrame:
    """Mean, standard error and worst episode of each shift.

    Of the task's own measure, or the normalised return, if every row has one; else of the return.

    Args:
        results: rows of :func:`~torchrl_drigm.evaluation.evaluate`, with a further column
            ``policy`` where they are those of several policies.

    Returns:
        One row per policy (if there is that column) and shift, both in the order in which they
        first appear, with the columns ``shift``, ``location`` (of buildings), ``measure``
        ("normalised return", "raw return" or the task's own), ``mean``, ``standard_error``
        (standard deviation over √n, NaN for one episode), ``worst`` (the lowest) and ``n``.

    Raises:
        ValueError: there are no rows, or columns are missing.

    Example:
        >>> results = pd.DataFrame({"shift": "env_1", "location": "Tucson",
        ...                         "normalized_return": [0.7, 0.8, 0.9]})
        >>> summarize(results).drop(columns="measure").round(3)
           shift location  mean  standard_error  worst  n
        0  env_1   Tucson   0.8           0.058    0.7  3
    """
    return summarize_column(results, *shown_measure(results))


def summarize_column(
    results: pd.DataFrame, column: str, label: str, name: str = "results"
) -> pd.DataFrame:
    """:func:`summarize` of a column that is called ``label``; ``name`` is the table's in errors."""
    check_table(name, results, ["shift", column])
    keys = [key for key in ("policy", "shift", "location") if key in results]
    # as numbers: whether a battle was won is a flag
    grouped = results.astype({column: float}).groupby(keys, sort=False)[column]
    summary = grouped.agg(mean="mean", standard_error="sem", worst="min", n="size").reset_index()
    summary.insert(len(keys), "measure", label)
    return summary


def format_table(summary: pd.DataFrame) -> str:
    """A plain table for the terminal: a row per policy, a column per shift, ``mean ± s.e.``.

    Columns that do not fit into a line of :data:`WIDTH` letters go on below, with an empty line
    between.
    A mean of one value has no standard error, and is followed by ``(n = 1)``. Returns that are not
    normalised are named as such.

    Args:
        summary: rows of :func:`summarize`.

    Returns:
        Aligned lines without a line break at the end. Policies and shifts are in the order in
        which they first appear, and suites have the training environment first.

    Raises:
        ValueError: there are no rows, or columns are missing.

    Example:
        >>> summary = pd.DataFrame({"policy": ["do nothing", "QMIX"], "shift": "env_1",
        ...     "location": "Tucson", "mean": [-1.68, 0.89], "standard_error": [0.1, 0.01]})
        >>> print(format_table(summary))
        policy        env_1 Tucson
        do nothing  -1.680 ± 0.100
        QMIX         0.890 ± 0.010
    """
    check_table("summary", summary, ["shift", "mean", "standard_error"])
    if "policy" not in summary:
        summary = summary.assign(policy="evaluated policy")
    raw = "measure" in summary and (summary["measure"] == MEASURES["return"]).any()
    digits = ".1f" if raw else ".3f"
    columns: dict[str, dict[str, str]] = {}
    for row in summary.itertuples():
        title = shift_title(row.shift, row.location if "location" in summary else None)
        cells = columns.setdefault(title, {})
        error = "(n = 1)" if pd.isna(row.standard_error) else f"± {row.standard_error:{digits}}"
        cells[row.policy] = f"{row.mean:{digits}} {error}"
    policies = list(dict.fromkeys(summary["policy"]))
    title = f"policy ({MEASURES['return']})" if raw else "policy"
    head = _aligned([title, *policies], str.ljust)
    tables = [[head]]
    for title, cells in columns.items():
        block = _aligned([title, *(cells.get(p, "-") for p in policies)], str.rjust)
        line = sum(len(other[0]) + 2 for other in tables[-1]) + len(block[0])
        if line > WIDTH and len(tables[-1]) > 1:
            tables.append([head])
        tables[-1].append(block)
    lines = (["  ".join(line) for line in zip(*table, strict=True)] for table in tables)
    return "\n\n".join(map("\n".join, lines))


def shift_title(shift: str, location: str | None) -> str:
    """A shift and its location, which is left out where the shift names it.

    Examples:
        >>> shift_title("env_1", "Tucson"), shift_title("Tucson days 0-29", "Tucson")
        ('env_1 Tucson', 'Tucson days 0-29')
        >>> shift_title("home", "Home"), shift_title("env_1", None)
        ('home', 'env_1')
    """
    if location is None or pd.isna(location):
        return shift
    named = re.search(rf"(?<!\w){re.escape(location)}(?!\w)", shift, re.IGNORECASE)
    return shift if named else f"{shift} {location}"


def _aligned(cells: list[str], pad: Callable[[str, int], str]) -> list[str]:
    width = max(map(len, cells))
    return [pad(cell, width) for cell in cells]
