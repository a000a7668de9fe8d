"""Pictures of training and evaluation, drawn without pyplot and its global state."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Collection
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter

from torchrl_drigm.evaluation.files import atomic_path
from torchrl_drigm.evaluation.legends import legend_below
from torchrl_drigm.evaluation.looks import LINES, looks, seeds_text
from torchrl_drigm.evaluation.measures import MEASURES, shown_measure
from torchrl_drigm.evaluation.statistics import check_table, shift_title, summarize_column

__all__ = ["plot_returns", "plot_training_curve"]

_GREY = "#555555"
_RETURNS = ("normalized_return", "eval_normalized_return", "return")
_LABELS = {"loss": "TD loss", "loss_dual": "dual loss", "epsilon": "exploration ε"}
# Where half of a training curve is above this floor, the axis starts there: the first episodes,
# those of random actions, would take most of it.
_FLOOR = -0.5
_FAR = 3.0  # episodes below the lowest mean, in units of what there is above it
_EVALUATION = {"ms": 4, "lw": 0.9, "color": "black", "mfc": "white"}


def plot_training_curve(metrics: pd.DataFrame, path: str | os.PathLike) -> Path:
    """Draws what a run logged over environment steps, a panel per kind of quantity.

    Args:
        metrics: rows with the column ``frames`` (environment steps) and at least one of
            ``normalized_return`` (of training episodes), ``eval_normalized_return``, ``return``
            (where none is normalised), ``loss``, ``loss_dual`` and ``epsilon``. Missing values are
            left out.
        path: where to write; the ending decides the format.

    Returns:
        The path.

    Raises:
        ValueError: there are no rows, no ``frames``, or nothing to draw.
    """
    check_table("metrics", metrics, ["frames"])
    series = {}
    for key in (*_RETURNS, *_LABELS):
        value = metrics.set_index("frames")[key].dropna() if key in metrics else ()
        if len(value):
            series[key] = value
    if not series:
        raise ValueError(
            f"metrics has no value of {', '.join((*_RETURNS, *_LABELS))} to draw; its columns are "
            f"{list(metrics.columns)}."
        )
    raw = series.pop("return", None)
    returns = {key: series.pop(key) for key in _RETURNS if key in series}
    if not returns and raw is not None:
        returns = {"raw_return": raw}
    heights = [2] * bool(returns) + [1] * len(series)
    figure = Figure(figsize=(7, 1.2 + 1.4 * sum(heights)), layout="constrained")
    axes = figure.subplots(len(heights), sharex=True, height_ratios=heights, squeeze=False)[:, 0]
    if returns:
        _draw_training_returns(axes[0], **returns)
    for ax, (key, value) in zip(axes[len(axes) - len(series) :], series.items(), strict=True):
        ax.plot(value, _mark(value), color=_GREY, lw=1)
        ax.set_ylabel(_LABELS[key])
        if key == "loss" and (value > 0).all():
            ax.set_yscale("log")
    for ax in axes:
        ax.grid(alpha=0.3)
    axes[-1].xaxis.set_major_formatter(EngFormatter(sep=""))
    axes[-1].set_xlabel("environment steps of this one run")
    return save_figure(figure, path)


def _draw_training_returns(
    ax: Axes,
    normalized_return: pd.Series | None = None,
    eval_normalized_return: pd.Series | None = None,
    raw_return: pd.Series | None = None,
) -> None:
    training = normalized_return if raw_return is None else raw_return
    if training is not None:
        window = max(1, len(training) // 30)
        mean = training.rolling(window, min_periods=1).mean()
        dots = {"ms": 4, "color": _GREY, "alpha": 0.4, "mew": 0}
        ax.plot(training, ".", **dots, label="training, as logged" if window > 1 else None)
        label = "training" if window == 1 else f"training, running mean of {window} dots"
        ax.plot(mean, _mark(mean), color=_GREY, lw=0.9, label=label)
    if eval_normalized_return is not None:
        ax.plot(eval_normalized_return, "o-", **_EVALUATION, label="evaluation")
    values = pd.concat([training, eval_normalized_return])
    if raw_return is None and values.min() < _FLOOR < values.median():
        ax.set_ylim(_FLOOR, max(1.0, values.max()) + 0.05)
    ax.set_ylabel(MEASURES["normalized_return" if raw_return is None else "return"])
    ax.legend(loc="lower right", fontsize=8)


def _mark(values: pd.Series) -> str:
    """How a curve is drawn: through one value alone no line goes."""
    return "o" if len(values) == 1 else "-"


def plot_returns(
    results: pd.DataFrame,
    path: str | os.PathLike,
    references: pd.DataFrame | None = None,
    title: str | None = None,
    trained: Collection[str] | None = None,
) -> Path:
    """Draws the return in each environment of a suite: normalised, if every row has that.

    Markers are the means over episodes with their standard errors, faint dots the episodes. A mean
    of one episode has no error bar. Hollow markers are those of one team; filled ones, of rows with
    a column ``seed``, are means over several, and their errors are over the seeds. Of normalised
    returns the axis shows all means and what else is not negative; what lies below is named in the
    legend. Of returns as they are it shows all means, the references that are no worse, and all
    episodes but those that would leave less than a quarter of the axis to what is above the lowest
    mean. Episodes below the axis are triangles at its edge, and are counted in the legend.

    Args:
        results: rows of :func:`~torchrl_drigm.evaluation.evaluate`, with a further column
            ``policy`` where they are those of several policies.
        path: where to write; the ending decides the format.
        references: such rows too, with the column ``policy``, of policies to compare with. Their
            means are drawn as horizontal lines.
        title: of the picture.
        trained: names of the shifts that were trained in, which are marked. Default: what
            :func:`~torchrl_drigm.evaluation.evaluate` noted in ``attrs["trained"]``.

    Returns:
        The path.

    Raises:
        ValueError: there are no rows, or columns are missing.
    """
    column, label = shown_measure(results, *([] if references is None else [references]))
    if "policy" not in results:
        results = results.assign(policy="evaluated policy")
    summary = summarize_column(_of_seeds(results, column), column, label)
    shifts = summary.drop_duplicates("shift")
    slot = {shift: x for x, shift in enumerate(shifts["shift"])}
    trained = results.attrs.get("trained", ()) if trained is None else trained
    labels = shift_labels(shifts, trained)
    if references is not None:
        check_table("references", references, ["policy", "shift"])
        references = references[references["shift"].isin(slot)]
        references = summarize_column(references, column, label, "references")
    bottom, top = _limits(column, results[column], summary, references)

    figure = Figure(figsize=(max(7, 1.8 + 1.3 * len(slot)), 5), layout="constrained")
    ax = figure.subplots()
    handles = []
    look, n_hidden = looks(summary["policy"]), 0
    policies = list(look)
    offsets = (np.arange(len(policies)) - (len(policies) - 1) / 2) * 0.6 / len(policies)
    for policy, offset in zip(policies, offsets, strict=True):
        own = results[results["policy"] == policy]
        x = own["shift"].map(slot) + offset
        # Spread evenly by episode, so that dots do not hide each other.
        spread = own.groupby("shift").cumcount() / own.groupby("shift")["shift"].transform("size")
        x = x + (spread - 0.5) * 0.4 / len(policies)
        ax.plot(x, own[column], ".", ms=4, mew=0, color=look[policy].colour, alpha=0.35)
        below = own[column] < bottom
        hidden = below.sum()
        edge = np.full(hidden, 0.012)  # of the axis
        ax.plot(
            x[below], edge, "v", ms=4, mew=0, color=look[policy].colour, alpha=0.7,
            transform=ax.get_xaxis_transform(),
        )  # fmt: skip
        n_hidden += hidden
        n_seeds = own["seed"].nunique() if "seed" in own else 1
        name = f"{policy} ({seeds_text(n_seeds)})" if n_seeds > 1 else policy
        means = summary[summary["policy"] == policy]
        points = ax.errorbar(
            means["shift"].map(slot) + offset,
            means["mean"],
            means["standard_error"],
            **look[policy].style(n_seeds) | {"ls": "none"},
            elinewidth=1.3,
            capsize=4,
            label=f"{name} (episodes below the axis: {hidden})" if hidden else name,
            zorder=3,
        )
        handles.append(points)
    n_lines = len(handles)
    if references is not None:
        handles += _draw_references(ax, references, slot, bottom)

    ax.set_xlim(-0.5, len(slot) - 0.5)
    ax.set_ylim(bottom, top)
    ax.set_xticks(range(len(slot)), labels)
    ax.set_ylabel(label)
    ax.set_xlabel("environment")
    ax.grid(axis="y", alpha=0.3)
    if title is not None:
        ax.set_title(title)
    single = " (none for one episode)" if (summary["n"] == 1).any() else ""
    several = "seed" in results and results["seed"].nunique() > 1
    teams = "the episodes of one team, hollow as it is one seed"
    if several:
        teams = "the seeds, or the episodes of one (hollow)"
    note = f"Markers: mean over {teams}; bars: ± standard error{single}; dots: episodes"
    note += ", triangles those below the axis" if n_hidden else ""
    legend_below(
        figure, handles, f"{note}; lines: means of references" if len(handles) > n_lines else note
    )
    return save_figure(figure, path)


def _of_seeds(results: pd.DataFrame, column: str) -> pd.DataFrame:
    """Rows of means over the episodes of a seed where a policy has several seeds."""
    if "seed" not in results:
        return results
    several = results.groupby("policy")["seed"].transform("nunique") > 1
    keys = [key for key in ("policy", "shift", "location", "seed") if key in results]
    means = results[several].groupby(keys, sort=False, as_index=False)[column].mean()
    return pd.concat([means, results[~several]], ignore_index=True) if several.any() else results


def shift_labels(shifts: pd.DataFrame, trained: Collection[str] = ()) -> list[str]:
    r"""Names of shifts for an axis: the location below, and which were trained in.

    Examples:
        >>> shift_labels(pd.DataFrame({"shift": ["env_1", "env_2"]}), ["env_1"])
        ['env_1\n(training)', 'env_2']
    """
    places = shifts["location"] if "location" in shifts else [None] * len(shifts)
    labels = []
    for shift, place in zip(shifts["shift"], places, strict=True):
        words = [shift] if shift_title(shift, place) == shift else [shift, place]
        words += ["(training)"] * (shift in trained)
        labels.append("\n".join(textwrap.fill(word, 14) for word in words))
    return labels


def _limits(
    column: str, episodes: pd.Series, summary: pd.DataFrame, references: pd.DataFrame | None
) -> tuple[float, float]:
    """Of the axis: down to the lowest mean of a policy, and beyond where there is more to see."""
    # without a standard error, that of one episode, the mean alone
    means = pd.concat([summary["mean"], summary["mean"] - summary["standard_error"]])
    others = [episodes] if references is None else [episodes, references["mean"]]
    others = pd.concat(others)
    if column != "normalized_return":
        low, high = means.min(), max(others.max(), means.max())
        # all episodes but those that would leave little of the axis to the means
        low = min(low, episodes[episodes >= low - _FAR * (high - low)].min())
        margin = 0.05 * (high - low) or 1.0
        return low - margin, high + margin
    low, high = pd.concat([means, others[others >= 0]]).min(), max(1.0, episodes.max())
    return low - max(0.04, 0.025 * (high - low)), high + 0.03  # markers are seen whole


def _draw_references(
    ax: Axes, summary: pd.DataFrame, slot: dict[str, int], bottom: float
) -> list[Artist]:
    """Draws a line per reference and shift, and returns what the legend shows."""
    handles = []
    for i, (policy, means) in enumerate(summary.groupby("policy", sort=False)):
        below = means["mean"] < bottom
        hidden, visible = means[below]["mean"], means[~below]
        x = visible["shift"].map(slot)
        style = {
            "color": _GREY,
            "ls": LINES[i % len(LINES)] if len(visible) else "none",
            "lw": 1.3,
        }
        ax.hlines(visible["mean"], x - 0.4, x + 0.4, **style)
        if len(hidden):
            where = f" in {len(hidden)} of {len(means)}" if len(visible) else ""
            policy += f" (below the axis{where}: {hidden.min():.2f} to {hidden.max():.2f})"
        handles.append(Line2D([], [], **style, label=policy))
    return handles


def save_figure(figure: Figure, path: str | os.PathLike) -> Path:
    FigureCanvasAgg(figure)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150)
    return Path(path)
