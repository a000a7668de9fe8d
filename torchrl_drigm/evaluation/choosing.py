"""Choosing a parameter by what its runs are worth in shifts of validation."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from torchrl_drigm.evaluation.legends import legend_below, named_handles
from torchrl_drigm.evaluation.looks import LINES, MARKERS, NEUTRAL, OTHERS, Look
from torchrl_drigm.evaluation.measures import SCORES, shown_measure
from torchrl_drigm.evaluation.plots import save_figure
from torchrl_drigm.evaluation.statistics import check_table, format_table, summarize_column

__all__ = ["SCORES", "best_value", "choice_table", "plot_choice", "score_values"]

_COLUMNS = ("value", "seed", "shift")


def score_values(results: pd.DataFrame, score: str = "mean") -> pd.Series:
    """What each value of a parameter is worth: the mean over shifts, or the worst shift.

    Of a shift it is the mean over the seeds of the mean over a run's episodes.

    Args:
        results: rows of :func:`~torchrl_drigm.evaluation.evaluate` of all runs, with the further
            columns ``value`` (of the parameter) and ``seed``.
        score: ``"mean"`` or ``"worst"``.

    Returns:
        The score by value, in the order of the rows; :func:`best_value` is the best of them.

    Raises:
        ValueError: for another score, or rows without these columns.

    Examples:
        >>> rows = pd.DataFrame({"value": [0.1, 0.1, 0.3, 0.3], "seed": 0, "shift": list("abab"),
        ...                      "return": [1.0, 9.0, 4.0, 4.5]})
        >>> score_values(rows).to_dict(), score_values(rows, "worst").to_dict()
        ({0.1: 5.0, 0.3: 4.25}, {0.1: 1.0, 0.3: 4.0})
    """
    means = _means(results).groupby(["value", "shift"], sort=False)["mean"].mean()
    by_value = means.groupby("value", sort=False)
    return by_value.min() if _known(score) == "worst" else by_value.mean()


def best_value(scores: pd.Series) -> Any:
    """The value with the highest score, of equal ones the first.

    Args:
        scores: of :func:`score_values`.
    """
    return scores.index.tolist()[int(scores.argmax())]


def choice_table(results: pd.DataFrame, field: str, score: str = "mean") -> str:
    """A table for the terminal: a row per value, a column per shift and one of the score.

    Numbers are means over the seeds with their standard errors. A star marks the best value.

    Args:
        results: see :func:`score_values`.
        field: what the parameter is called.
        score: see :func:`score_values`.
    """
    column, label = shown_measure(results)
    scores, means = score_values(results, score), _means(results)
    if score == "worst":  # whose error is that of this one shift
        shifts = means.groupby(["value", "shift"], sort=False)["mean"].mean()
        worst = set(shifts.groupby("value", sort=False).idxmin())
        pairs = zip(means["value"], means["shift"], strict=True)
        scored = means[[pair in worst for pair in pairs]]
    else:
        scored = means.groupby(["value", "seed"], sort=False)["mean"].mean().reset_index()
    rows = pd.concat([means, scored.assign(shift=SCORES[score])], ignore_index=True)
    best = best_value(scores)
    names = {value: f"{field}={value}{' *' if value == best else ''}" for value in scores.index}
    rows["policy"] = rows["value"].map(names)
    return format_table(summarize_column(rows.rename(columns={"mean": column}), column, label))


def plot_choice(
    results: pd.DataFrame, path: str | os.PathLike, field: str, score: str = "mean"
) -> Path:
    """Draws the return over a parameter: a line for each shift, and their mean.

    Lines are means over the seeds, bands their standard errors; one seed has none.

    Args:
        results: see :func:`score_values`.
        path: where to write; the ending decides the format.
        field: what the parameter is called.
        score: which of :data:`SCORES` has chosen the value that is marked.

    Returns:
        The path.
    """
    _, label = shown_measure(results)
    means, scores = _means(results), score_values(results, score)
    values: Sequence = scores.index.tolist()
    numbers = all(isinstance(value, int | float) for value in values)
    at = {value: value if numbers else i for i, value in enumerate(values)}
    ordered = sorted(values, key=at.get)
    x = [at[value] for value in ordered]
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    ax = figure.subplots()

    seeds = means["seed"].nunique()

    def draw(table: pd.DataFrame, label: str, look: Look) -> None:
        over_seeds = table.groupby("value")["mean"]
        mean, error = over_seeds.mean()[ordered], over_seeds.sem()[ordered]
        ax.plot(x, mean, label=label, **look.style(seeds))
        ax.fill_between(x, mean - error, mean + error, color=look.colour, alpha=0.2, lw=0)

    for i, (shift, rows) in enumerate(means.groupby("shift", sort=False)):
        draw(rows, shift, Look(OTHERS[i % len(OTHERS)], MARKERS[i % len(MARKERS)], LINES[1]))
    average = means.groupby(["value", "seed"], sort=False)["mean"].mean().reset_index()
    draw(average, SCORES["mean"], Look("#000000", "o"))
    best = best_value(scores)
    ax.axvline(at[best], color=NEUTRAL, ls=LINES[2], label=f"chosen by the {SCORES[score]}: {best}")
    if not numbers:
        ax.set_xticks(x, [str(value) for value in ordered])
    ax.set_xlabel(field)
    ax.set_ylabel(label)
    ax.grid(alpha=0.3)
    several = f"mean over {seeds} seeds; bands: ± standard error over the seeds"
    note = f"Lines: {several if seeds > 1 else '1 seed, thin and hollow, without an error'}"
    legend_below(figure, named_handles(figure), note)
    return save_figure(figure, path)


def _means(results: pd.DataFrame) -> pd.DataFrame:
    """Means over the episodes, one row per value, seed and shift."""
    column, _ = shown_measure(results)
    check_table("results", results, [*_COLUMNS, column])
    keys = [*_COLUMNS, *(["location"] if "location" in results else [])]
    numbers = results.astype({column: float}).groupby(keys, sort=False)[column].mean()
    return numbers.rename("mean").reset_index()


def _known(score: str) -> str:
    if score not in SCORES:
        raise ValueError(f"score={score!r} must be one of {list(SCORES)}.")
    return score
