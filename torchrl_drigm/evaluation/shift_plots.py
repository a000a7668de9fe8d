"""Pictures of methods over the shifts of a suite, a panel for each mixer."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from itertools import cycle
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from torchrl_drigm.evaluation.legends import legend_below, named_handles
from torchrl_drigm.evaluation.looks import BEST_DISCOUNT, LINES, NEUTRAL, looks, seeds_text
from torchrl_drigm.evaluation.methods import mixer_label
from torchrl_drigm.evaluation.plots import save_figure, shift_labels
from torchrl_drigm.evaluation.statistics import check_table

__all__ = ["plot_shifts"]

_REFERENCE = "#999999"
_FAR = 5.0
_ROOM = 0.25  # for arrows, in units of what the others span


def plot_shifts(
    scores: pd.DataFrame, path: str | os.PathLike, label: str, trained: Collection[str] = ()
) -> Path:
    """Draws the mean over the runs and its standard error in each shift, a panel per mixer.

    Shifts along an axis are curves over their levels, a row of panels for each axis; others stand
    beside each other, the one that was trained in first.

    Args:
        scores: rows with the columns ``policy``, ``mixer`` (empty for policies that do not learn,
            which every panel shows), ``uncertainty``, ``kind`` ("method", "control" or
            "reference"), ``shift``, ``mean`` and ``standard_error`` over the runs, and ``axis``
            and ``level`` where the suite has them.
        path: where to write; the ending decides the format.
        label: of what is drawn.
        trained: names of the shifts that were trained in, which are marked.

    Policies that do not learn are drawn where they are no worse than the worst that did. A method
    that fell so far that the others could not be told apart (:func:`collapsed`) does not stretch
    the axis: arrows in its colour point to where it is, with its means.

    Returns:
        The path.

    Raises:
        ValueError: there are no rows, or columns are missing.
    """
    columns = ["policy", "mixer", "uncertainty", "kind", "shift", "mean", "standard_error"]
    check_table("scores", scores, columns)
    mixers = [m for m in scores["mixer"].unique() if m]
    axes_of = list(scores["axis"].dropna().unique()) if "axis" in scores else []
    rows: Sequence[str | None] = axes_of or [None]
    n_slots = scores["shift"].nunique() if rows == [None] else 5
    # up to four labels stand side by side, more are slanted
    width = max(4.2, 1.2 + (1.25 if n_slots <= 4 else 0.45) * n_slots)
    figure = Figure(figsize=(width * len(mixers), 3.6 * len(rows) + 1.0), layout="constrained")
    panels = figure.subplots(len(rows), len(mixers), squeeze=False, sharey="row")
    cut = False
    for axis, line in zip(rows, panels, strict=True):
        some = scores if axis is None else scores[scores["axis"] == axis]
        learned = some[some["mixer"] != ""]
        shown = learned[~learned["policy"].isin(collapsed(learned))]
        hides = len(shown) < len(learned)
        cut |= hides
        low = (shown["mean"] - shown["standard_error"].fillna(0)).min()
        high = (learned["mean"] + learned["standard_error"].fillna(0)).max()
        high = max(high, some["mean"].max())
        margin = 0.06 * (high - low) or 0.05
        low -= _ROOM * (high - low) if hides else 0.0
        for mixer, panel in zip(mixers, line, strict=True):
            panel.set_ylim(low - margin, high + margin)
            _draw(panel, some[some["mixer"].isin([mixer, ""])], axis, low - margin, trained)
            panel.margins(x=0.1 if hides else 0.05)  # for what is written at arrows
            panel.set_title(mixer_label(mixer))
            panel.grid(alpha=0.3)
        line[0].set_ylabel(label)
    note = "Markers: mean over the seeds; bars: ± standard error; thin and hollow: one seed"
    if (scores["kind"] != "method").any():
        note += "; grey: to compare with, learned by nobody or with the discount that is best there"
    if cut:
        note += "; arrows: means below the axis, with their values"
    legend_below(figure, named_handles(figure), note)
    return save_figure(figure, path)


def collapsed(scores: pd.DataFrame) -> list[str]:
    """Policies that the others would be squeezed into a small part of an axis by.

    Their lowest means are further below those of all others than :data:`_FAR` times what these
    span. At least two of the policies, and half of them, are others.

    Args:
        scores: rows with the columns ``policy``, ``mean`` and ``standard_error``.

    Examples:
        >>> rows = {"policy": list("aabbcc"), "standard_error": 0.01}
        >>> collapsed(pd.DataFrame({**rows, "mean": [0.9, 0.8, 0.9, 0.7, 0.9, -11.0]}))
        ['c']
        >>> collapsed(pd.DataFrame({**rows, "mean": [0.9, 0.8, 0.9, 0.7, 0.9, 0.1]}))
        []
    """
    lowest = scores.groupby("policy", sort=False)["mean"].min().sort_values(kind="stable")
    policies, far = list(lowest.index), 0
    for n in range(1, len(policies) - max(2, (len(policies) + 1) // 2) + 1):
        others = scores[scores["policy"].isin(policies[n:])]
        low, high = others["mean"].min(), others["mean"].max()
        # methods that are all alike differ by no less than their errors, or what can be seen
        error = others["standard_error"].fillna(0.0).max()
        span = max(high - low, 2 * error, 0.05 * abs(low), 0.05 * abs(high))
        if lowest.iloc[n - 1] < low - _FAR * span:
            far = n
    return policies[:far]


def _draw(
    panel: Axes, scores: pd.DataFrame, axis: str | None, bottom: float, trained: Collection[str]
) -> None:
    shifts, names = list(scores["shift"].unique()), _names(scores)
    look, lines, n_below = looks(names.values()), cycle(LINES[2:]), 0
    for policy, own in scores.groupby("policy", sort=False):
        kind = own["kind"].iloc[0]
        # points are joined from left to right, whatever order the rows have
        own = own.assign(x=own["level"] if axis is not None else own["shift"].map(shifts.index))
        own = own.sort_values("x", kind="stable")
        x = own["x"]
        if kind == "reference":
            line = next(lines)
            if (own["mean"] >= bottom).all():  # others are no lines to compare with
                panel.plot(x, own["mean"], ls=line, lw=1.2, color=_REFERENCE, label=policy)
            continue
        below = own["mean"] < bottom
        colour = NEUTRAL if kind == "control" else look[names[policy]].colour
        _point_below(panel, x[below], own["mean"][below], colour, n_below)
        n_below += below.any()
        if kind == "control":
            name = f"{BEST_DISCOUNT}, in hindsight"
            panel.plot(x, own["mean"], ls=LINES[1], lw=1.3, color=NEUTRAL, label=name)
            continue
        n = int(own["n"].max()) if "n" in own else None
        style = look[names[policy]].style(n or 2)
        label = names[policy] if n is None else f"{names[policy]} ({seeds_text(n)})"
        panel.errorbar(x, own["mean"], own["standard_error"], capsize=3, label=label, **style)
    if axis is None:
        labels = shift_labels(scores.drop_duplicates("shift"), trained)
        if len(shifts) > 4:
            labels = [" ".join(label.splitlines()) for label in labels]
            slanted = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
            panel.set_xticks(range(len(shifts)), labels, **slanted)
        else:
            panel.set_xticks(range(len(shifts)), labels)
        return
    panel.set_xlabel(axis)
    for level in scores[scores["shift"].isin(trained)]["level"].unique():
        panel.axvline(level, color=_REFERENCE, lw=5, alpha=0.35, zorder=0, label="training")


def _point_below(panel: Axes, x: pd.Series, means: pd.Series, colour: str, place: int) -> None:
    """Arrows to means below the axis; those of the policy after another one stand beside its."""
    for at, mean in zip(x, means, strict=True):
        panel.annotate(
            f"{mean:.3g}",
            xy=(at, 0.0),
            xycoords=("data", "axes fraction"),
            xytext=(10 * place, 16),
            textcoords="offset points",
            arrowprops={"arrowstyle": "-|>", "color": colour},
            color=colour,
            rotation=90,
            ha="center",
            va="bottom",
            fontsize=7,
            zorder=4,
        )


def _names(scores: pd.DataFrame) -> dict[str, str]:
    """Methods without their mixer, which is the panel's title.

    Examples:
        >>> _names(pd.DataFrame({"policy": ["TV QMIX, ρ = 0.1"], "mixer": "qmix",
        ...                      "kind": "method"}))
        {'TV QMIX, ρ = 0.1': 'TV, ρ = 0.1'}
    """
    methods = scores[scores["kind"] == "method"].drop_duplicates("policy")
    return {
        policy: policy.replace(f" {mixer_label(mixer)}", "", 1)
        for policy, mixer in zip(methods["policy"], methods["mixer"], strict=True)
    }
