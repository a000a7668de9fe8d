"""Pictures of methods over the shifts of a suite, a panel for each mixer."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from torchrl_drigm.evaluation.methods import mixer_label
from torchrl_drigm.evaluation.plots import COLOURS, save_figure
from torchrl_drigm.evaluation.statistics import check_table

__all__ = ["plot_shifts"]

# One colour for a set in every picture; black and grey are for what is no robust training.
_SETS = ("tv", "contamination", "cvar", "group_dr", "kl", "chi2")
_NOMINAL, _CONTROL, _REFERENCE = "#000000", "#777777", "#999999"
_DOTS = (":", (0, (1, 3)), "-.", (0, (5, 1, 1, 1, 1, 1)))


def plot_shifts(scores: pd.DataFrame, path: str | os.PathLike, label: str) -> Path:
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

    Policies that do not learn are drawn where they are no worse than the worst that did.

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
    width = max(4.2, 1.2 + 0.45 * n_slots)
    figure = Figure(figsize=(width * len(mixers), 3.6 * len(rows) + 1.0), layout="constrained")
    panels = figure.subplots(len(rows), len(mixers), squeeze=False, sharey="row")
    for axis, line in zip(rows, panels, strict=True):
        some = scores if axis is None else scores[scores["axis"] == axis]
        learned = some[some["mixer"] != ""]
        low, high = learned["mean"].min(), max(learned["mean"].max(), some["mean"].max())
        margin = 0.06 * (high - low) or 0.05
        for mixer, panel in zip(mixers, line, strict=True):
            _draw(panel, some[some["mixer"].isin([mixer, ""])], axis, low - margin)
            panel.set_ylim(low - margin, high + margin)
            panel.set_title(mixer_label(mixer))
            panel.grid(alpha=0.3)
        line[0].set_ylabel(label)
    handles, seen = [], set()
    for panel in panels.flat:
        for handle, name in zip(*panel.get_legend_handles_labels(), strict=True):
            if name not in seen:
                seen.add(name)
                handles.append(handle)
    columns = max(1, int(figure.get_figwidth() // 3.2))
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False)
    return save_figure(figure, path)


def _draw(panel: Axes, scores: pd.DataFrame, axis: str | None, bottom: float) -> None:
    shifts, dots = list(scores["shift"].unique()), cycle(_DOTS)
    for policy, own in scores.groupby("policy", sort=False):
        kind, name = own["kind"].iloc[0], own["uncertainty"].iloc[0]
        own = own.sort_values("level") if axis is not None else own
        x = own["level"] if axis is not None else own["shift"].map(shifts.index)
        if kind == "reference":
            style = next(dots)
            if (own["mean"] >= bottom).all():  # others are no lines to compare with
                panel.plot(x, own["mean"], ls=style, lw=1.2, color=_REFERENCE, label=policy)
            continue
        if kind == "control":
            panel.plot(x, own["mean"], "--", lw=1.3, color=_CONTROL, label="best discount")
            continue
        colour = _NOMINAL if name == "none" else COLOURS[_place(name)]
        panel.errorbar(
            x,
            own["mean"],
            own["standard_error"],
            fmt="o-",
            ms=3,
            lw=1.3,
            capsize=3,
            color=colour,
            label=_legend(name, own["n"].iloc[0] if "n" in own else None),
        )
    if axis is not None:
        panel.set_xlabel(axis)
    else:
        labels = scores.drop_duplicates("shift")
        names = labels["location"] if "location" in labels else labels["shift"]
        ticks = [f"{s}\n{n}" if n != s else s for s, n in zip(shifts, names, strict=True)]
        panel.set_xticks(range(len(shifts)), ticks, rotation=45 if len(shifts) > 4 else 0)


def _place(name: str) -> int:
    return (_SETS.index(name) if name in _SETS else len(_SETS)) % len(COLOURS)


def _legend(name: str, n: int | None) -> str:
    words = {"none": "nominal", "tv": "TV", "cvar": "CVaR", "group_dr": "GroupDR"}
    runs = "" if n is None else f", {n} run{'s' if n > 1 else ''}, ± standard error"
    return f"{words.get(name, name)}{runs}"
