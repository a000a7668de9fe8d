"""Statistics of evaluation results, and their table."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd

__all__ = ["format_table", "summarize"]


def check_table(name: str, table: pd.DataFrame, columns: Sequence[str]) -> None:
    """Raises a ``ValueError`` where a table is empty or lacks one of the columns."""
    missing = [column for column in columns if column not in table]
    if missing:
        raise ValueError(f"{name} lacks the columns {missing}; it has {list(table.columns)}.")
    if table.empty:
        raise ValueError(f"{name} has no rows: there is nothing to show.")


def summarize(results: pd.DataFrame) -> pd.DataFrame:
    """Mean, standard error and worst episode of the normalised return, per shift.

    Args:
        results: rows of :func:`~torchrl_drigm.evaluation.evaluate`, with a further column
            ``policy`` where they are those of several policies.

    Returns:
        One row per policy (if there is that column) and shift, both in the order in which they
        first appear, with the columns ``shift``, ``location``, ``mean``, ``standard_error``
        (standard deviation over √n, NaN for one episode), ``worst`` (the lowest) and ``n``.

    Raises:
        ValueError: there are no rows, or columns are missing.

    Example:
        >>> results = pd.DataFrame({"shift": "env_1", "location": "Tucson",
        ...                         "normalized_return": [0.7, 0.8, 0.9]})
        >>> summarize(results).round(3)
           shift location  mean  standard_error  worst  n
        0  env_1   Tucson   0.8           0.058    0.7  3
    """
    check_table("results", results, ["shift", "location", "normalized_return"])
    keys = [key for key in ("policy", "shift", "location") if key in results]
    grouped = results.groupby(keys, sort=False)["normalized_return"]
    summary = grouped.agg(mean="mean", standard_error="sem", worst="min", n="size")
    return summary.reset_index()


def format_table(summary: pd.DataFrame) -> str:
    """A plain table for the terminal: a row per policy, a column per shift, ``mean ± s.e.``.

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
    check_table("summary", summary, ["shift", "location", "mean", "standard_error"])
    if "policy" not in summary:
        summary = summary.assign(policy="evaluated policy")
    columns: dict[str, dict[str, str]] = {}
    for row in summary.itertuples():
        cells = columns.setdefault(f"{row.shift} {row.location}", {})
        cells[row.policy] = f"{row.mean:.3f} ± {row.standard_error:.3f}"
    policies = list(dict.fromkeys(summary["policy"]))
    blocks = [_aligned(["policy", *policies], str.ljust)]
    for title, cells in columns.items():
        blocks.append(_aligned([title, *(cells.get(p, "-") for p in policies)], str.rjust))
    return "\n".join("  ".join(line) for line in zip(*blocks, strict=True))


def _aligned(cells: list[str], pad: Callable[[str, int], str]) -> list[str]:
    width = max(map(len, cells))
    return [pad(cell, width) for cell in cells]
