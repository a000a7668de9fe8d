"""The paper's Figures 3 and 4, and win rates over the strength of the noise."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, PercentFormatter

from torchrl_drigm.evaluation.legends import legend_below, named_handles
from torchrl_drigm.evaluation.looks import LINES, NEUTRAL, looks, seeds_text
from torchrl_drigm.evaluation.plots import save_figure
from torchrl_drigm.evaluation.statistics import check_table
from torchrl_drigm.evaluation.win_rates import TESTS, final_win_rates

__all__ = ["plot_noise_levels", "plot_rho_sweep", "plot_win_rates"]


def plot_win_rates(win_rates: pd.DataFrame, path: str | os.PathLike, smoothing: int = 5) -> Path:
    """Draws test win rates over training (Figure 3): a panel under noise, one without.

    A line is the mean over the runs of a method, of running means over ``smoothing`` evaluations;
    its band is the standard error over the runs. A method of one run has no band.

    Args:
        win_rates: rows of :func:`read_win_rates`.
        path: where to write; the ending decides the format.
        smoothing: evaluations in a running mean; 1 draws them as they are.

    Returns:
        The path.

    Raises:
        ValueError: there are no rows, or columns are missing.
    """
    check_table("win_rates", win_rates, ["run", "method", "frames", *TESTS])
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    look = looks(win_rates["method"])
    for ax, (column, title) in zip(axes, TESTS.items(), strict=True):
        for method, rows in win_rates.groupby("method", sort=False):
            runs = rows.pivot_table(index="frames", columns="run", values=column)
            runs = runs.rolling(smoothing, min_periods=1).mean()
            mean, error = runs.mean(axis=1), runs.sem(axis=1)
            label = f"{method} ({seeds_text(runs.shape[1])})"
            style = look[method].style(runs.shape[1])
            ax.plot(mean, label=label, markevery=max(1, len(mean) // 8), **style)
            band = {"color": look[method].colour, "alpha": 0.2, "lw": 0}
            ax.fill_between(mean.index, mean - error, mean + error, **band)
        ax.set_title(title)
        ax.set_xlabel("environment steps")
        ax.xaxis.set_major_formatter(EngFormatter(sep=""))
        ax.grid(alpha=0.3)
    axes[0].set_ylim(-0.02, 1.02)
    axes[0].yaxis.set_major_formatter(PercentFormatter(1.0))
    axes[0].set_ylabel("test win rate")
    smooth = f" of running means over {smoothing} evaluations" if smoothing > 1 else ""
    note = f"Lines: mean over the seeds{smooth}; bands: ± standard error over the seeds"
    legend_below(figure, named_handles(figure), f"{note}; thin and hollow: one seed")
    return save_figure(figure, path)


def plot_rho_sweep(win_rates: pd.DataFrame, path: str | os.PathLike, last: int = 10) -> Path:
    """Draws what robust training adds to the final win rate, over ρ (Figure 4).

    Improvement is the difference to the nominal runs of the same setting, which differ in the
    uncertainty set alone; its error bar is that of the difference of the two means. There is none
    where either mean is that of one run.

    Args:
        win_rates: rows of :func:`read_win_rates`, nominal runs among them.
        path: where to write; the ending decides the format.
        last: number of evaluations that a run's final win rate is averaged over.

    Returns:
        The path.

    Raises:
        ValueError: there are no nominal runs of a setting, or no robust ones.
    """
    final = final_win_rates(win_rates, last)
    robust = final[final["uncertainty"] != "none"]
    nominal = final[final["uncertainty"] == "none"].set_index("setting")
    missing = sorted(set(robust["setting"]) - set(nominal.index))
    if robust.empty or missing:
        raise ValueError(
            "Figure 4 compares robust runs with nominal ones whose configs differ in the "
            "uncertainty set alone. Missing: "
            f"{f'nominal runs of {missing}' if missing else 'robust runs'}."
        )
    figure = Figure(figsize=(10, 4), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    look = looks(robust["family"])
    for ax, (test, title) in zip(
        axes, (("noisy", TESTS["win_rate_noisy"]), ("clean", TESTS["win_rate_clean"])), strict=True
    ):
        groups = robust.groupby(["family", "setting"], sort=False)
        for (family, setting), rows in groups:
            rows = rows.sort_values("rho")
            base = nominal.loc[setting]
            # NaN draws no bar
            errors = np.hypot(rows[f"{test}_se"], base[f"{test}_se"])
            seeds = seeds_text(base["n"], *rows["n"])
            ax.errorbar(
                rows["rho"],
                rows[test] - base[test],
                errors,
                **look[family].style(min(base["n"], *rows["n"])),
                capsize=4,
                label=f"{family} ({seeds})",
            )
        ax.axhline(0.0, color=NEUTRAL, lw=1, ls=LINES[1], label="nominal, the same otherwise")
        ax.set_title(title)
        ax.set_xlabel("ρ")
        ax.grid(alpha=0.3)
    axes[0].yaxis.set_major_formatter(PercentFormatter(1.0))
    axes[0].set_ylabel("final win rate, difference to nominal")
    note = f"Markers: mean over the seeds of a run's last {last} evaluations, minus that of nominal"
    note += "; bars: ± standard error of the difference; thin and hollow: one seed on a side"
    legend_below(figure, named_handles(figure), note)
    return save_figure(figure, path)


def plot_noise_levels(win_rates: pd.DataFrame, path: str | os.PathLike) -> Path:
    """Draws win rates over the strength of the noise, mean ± standard error over the runs.

    Means of one run have no error bar.

    Args:
        win_rates: one row per run and strength, with the columns ``method``, ``run``, ``std`` and
            ``won``, the share of battles won.
        path: where to write; the ending decides the format.

    Returns:
        The path.

    Raises:
        ValueError: there are no rows, or columns are missing.
    """
    check_table("win_rates", win_rates, ["method", "run", "std", "won"])
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    ax = figure.subplots()
    look = looks(win_rates["method"])
    for method, rows in win_rates.groupby("method", sort=False):
        won = rows.groupby("std")["won"].agg(["mean", "sem"])
        n = rows["run"].nunique()
        ax.errorbar(
            won.index,
            won["mean"],
            won["sem"],  # NaN, of one run, draws no bar
            **look[method].style(n),
            capsize=4,
            label=f"{method} ({seeds_text(n)})",
        )
    ax.set_ylim(-0.02, 1.02)
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    ax.set_xlabel("standard deviation of the noise on enemies' positions (training: 0)")
    ax.set_ylabel("win rate")
    ax.grid(alpha=0.3)
    note = "Markers: mean over the seeds; bars: ± standard error; thin and hollow: one seed"
    legend_below(figure, named_handles(figure), note)
    return save_figure(figure, path)
