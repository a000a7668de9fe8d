"""Tables over seeds: mean, interquartile mean, worst shift, probability of improvement."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from torchrl_drigm.evaluation.aggregates import (
    interquartile_mean,
    mean_and_error,
    probability_of_improvement,
    worst_shifts,
)
from torchrl_drigm.evaluation.measures import MEASURES
from torchrl_drigm.evaluation.statistics import check_table

__all__ = ["format_improvements", "format_seeds", "improvements", "summarize_seeds"]

_INTERVALS = {"": False, "_of_runs": True}  # ends of columns, and whether runs stay whole
_ENDS = [f"{side}{end}" for end in _INTERVALS for side in ("low", "high")]


def summarize_seeds(scores: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """What each method's scores come to over its seeds.

    Args:
        scores: by method ``[n_seeds, n_shifts]``, of
            :func:`~torchrl_drigm.evaluation.seed_scores`.

    Returns:
        One row per method, with the columns ``policy``, ``measure``, ``n`` (seeds), ``mean`` and
        ``standard_error`` (over the seeds, of each one's mean over the shifts), ``iqm`` with the
        ends of its stratified interval ``low`` and ``high`` and those of resampled whole runs
        ``low_of_runs`` and ``high_of_runs`` (:func:`interquartile_mean`), ``worst`` and
        ``worst_error`` (over the seeds, of each one's lowest shift) and ``worst_shift``, the shift
        that this most often is. Errors and intervals of one seed are NaN.

    Raises:
        ValueError: there are no methods, or as :func:`interquartile_mean`.

    Example:
        >>> scores = pd.DataFrame({"near": [3.0, 5.0], "far": [2.0, 1.0]})
        >>> summary = summarize_seeds({"QMIX": scores})
        >>> summary[["mean", "standard_error", "iqm", "worst", "worst_error", "worst_shift"]]
           mean  standard_error  iqm  worst  worst_error worst_shift
        0  2.75            0.25  2.5    1.5          0.5         far
    """
    if not scores:
        raise ValueError("scores has no methods: there is nothing to show.")
    rows = []
    for policy, table in scores.items():
        worst = worst_shifts(table)
        row = {"policy": policy, "measure": table.attrs.get("measure", ""), "n": len(table)}
        row["mean"], row["standard_error"] = mean_and_error(table.mean(axis=1))
        for end, whole_runs in _INTERVALS.items():
            row["iqm"], row[f"low{end}"], row[f"high{end}"] = interquartile_mean(
                table, whole_runs=whole_runs
            )
        row["worst"], row["worst_error"] = mean_and_error(worst["score"])
        row["worst_shift"] = worst["shift"].value_counts(sort=False).idxmax()
        rows.append(row)
    return pd.DataFrame(rows)


def format_seeds(summary: pd.DataFrame) -> str:
    """A Markdown table, a row per method: mean ± s.e., IQM with its intervals, worst shift, n.

    Args:
        summary: rows of :func:`summarize_seeds`.

    Returns:
        Aligned lines without a line break at the end. A method of one seed has neither errors nor
        intervals, which its cells say with "(n = 1)".

    Raises:
        ValueError: there are no rows, or columns are missing.

    Example:
        >>> scores = pd.DataFrame({"near": [0.9, 0.8], "far": [0.5, 0.6]})
        >>> table = format_seeds(summarize_seeds({"QMIX": scores, "random": scores.iloc[:1]}))
        >>> for line in table.splitlines():
        ...     print("|".join(line.split("|")[1:5]))
         policy | n | mean ± s.e.   | IQM [95 %]
         ------ | - | ------------- | --------------------
         QMIX   | 2 | 0.700 ± 0.000 | 0.700 [0.650, 0.750]
         random | 1 | 0.700 (n = 1) | 0.700 (n = 1)
    """
    columns = ["policy", "n", "mean", "standard_error", "iqm", *_ENDS]
    check_table("summary", summary, [*columns, "worst", "worst_error", "worst_shift"])
    raw = "measure" in summary and (summary["measure"] == MEASURES["return"]).any()
    digits = ".1f" if raw else ".3f"
    lines = []
    for row in summary.itertuples():
        iqm = f"{row.iqm:{digits}} {_interval(row.low, row.high, digits)}"
        of_runs = _interval(row.low_of_runs, row.high_of_runs, digits)
        worst = f"{_with_error(row.worst, row.worst_error, digits)}, {row.worst_shift}"
        mean = _with_error(row.mean, row.standard_error, digits)
        lines.append([row.policy, str(row.n), mean, iqm, of_runs, worst])
    title = f"policy ({MEASURES['return']})" if raw else "policy"
    head = [title, "n", "mean ± s.e.", "IQM [95 %]", "runs whole [95 %]", "worst shift ± s.e."]
    return _markdown(head, lines)


def improvements(
    scores: Mapping[str, pd.DataFrame], controls: Mapping[str, Iterable[str]]
) -> pd.DataFrame:
    """How probably each method is better than each of its controls.

    Args:
        scores: see :func:`summarize_seeds`.
        controls: names of methods to compare with, by method.

    Returns:
        One row per pair, with the columns ``policy``, ``control``, ``probability`` and the ends of
        its intervals, as those of :func:`summarize_seeds`, of
        :func:`~torchrl_drigm.evaluation.probability_of_improvement`.

    Raises:
        ValueError: for a method without scores.

    Example:
        >>> scores = {"TV": pd.DataFrame({"a": [3.0, 4.0]}), "nominal": pd.DataFrame({"a": [3.0]})}
        >>> improvements(scores, {"TV": ["nominal"]})[["policy", "control", "probability"]]
          policy  control  probability
        0     TV  nominal         0.75
    """
    rows = []
    for policy, others in controls.items():
        for control in others:
            missing = [name for name in (policy, control) if name not in scores]
            if missing:
                raise ValueError(f"there are no scores of {missing}, only of {list(scores)}.")
            row = {"policy": policy, "control": control}
            for end, whole_runs in _INTERVALS.items():
                row["probability"], row[f"low{end}"], row[f"high{end}"] = (
                    probability_of_improvement(
                        scores[policy], scores[control], whole_runs=whole_runs
                    )
                )
            rows.append(row)
    return pd.DataFrame(rows)


def format_improvements(table: pd.DataFrame) -> str:
    """A Markdown table of :func:`improvements`, aligned, without a line break at the end.

    Args:
        table: rows of :func:`improvements`.

    Raises:
        ValueError: there are no rows, or columns are missing.
    """
    check_table("table", table, ["policy", "control", "probability", *_ENDS])
    lines = []
    for row in table.itertuples():
        probability = f"{row.probability:.2f} {_interval(row.low, row.high, '.2f')}"
        of_runs = _interval(row.low_of_runs, row.high_of_runs, ".2f")
        lines.append([row.policy, row.control, probability, of_runs])
    return _markdown(["policy", "better than", "P [95 %]", "runs whole [95 %]"], lines)


def _with_error(mean: float, error: float, digits: str) -> str:
    return f"{mean:{digits}} " + ("(n = 1)" if pd.isna(error) else f"± {error:{digits}}")


def _interval(low: float, high: float, digits: str) -> str:
    return "(n = 1)" if pd.isna(low) else f"[{low:{digits}}, {high:{digits}}]"


def _markdown(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, cells)) for cells in zip(head, *lines, strict=True)]
    rows = [head, ["-" * width for width in widths], *lines]
    return "\n".join(f"| {' | '.join(map(str.ljust, cells, widths))} |" for cells in rows)
