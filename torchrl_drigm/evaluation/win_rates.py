"""Win rates of runs on StarCraft battles: reading, tables, and the paper's Figures 3 and 4."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, PercentFormatter
from omegaconf import OmegaConf

from torchrl_drigm.evaluation.metrics import read_metrics
from torchrl_drigm.evaluation.plots import COLOURS, save_figure
from torchrl_drigm.evaluation.statistics import check_table

__all__ = [
    "describe_run",
    "final_win_rates",
    "plot_noise_levels",
    "plot_rho_sweep",
    "plot_win_rates",
    "read_win_rates",
]

_TESTS = {"win_rate_noisy": "under noise", "win_rate_clean": "without noise"}
_RUN = ["method", "mixer", "uncertainty", "rho", "seed"]


def read_win_rates(run_dirs: Iterable[str | Path]) -> pd.DataFrame:
    """Test win rates of runs of ``examples/smac_rqmix.py`` over training.

    Args:
        run_dirs: folders of runs, or folders with runs at any depth.

    Returns:
        One row per run and evaluation, with the columns ``run`` (its folder), ``method`` (such as
        "TV QMIX, ρ = 0.1"), ``mixer``, ``uncertainty``, ``rho`` (0 for nominal runs), ``seed``,
        ``frames``, ``win_rate_clean`` and ``win_rate_noisy``.

    Raises:
        FileNotFoundError: if a folder holds no run that was tested.
    """
    tables = []
    for folder in run_dirs:
        found = False
        for config in sorted(Path(folder).rglob("config.yaml")):
            if config.parent.name == ".hydra":
                continue
            try:
                metrics = read_metrics(config.parent)
            except FileNotFoundError:
                continue
            if not set(_TESTS) <= set(metrics):
                continue
            found = True
            rows = metrics[["frames", *_TESTS]].dropna()
            tables.append(rows.assign(run=str(config.parent), **describe_run(config.parent)))
        if not found:
            raise FileNotFoundError(
                f"no test win rates below {folder}: name folders of runs of smac_rqmix.py that "
                "logged with logger=csv and reached an evaluation."
            )
    table = pd.concat(tables, ignore_index=True)
    return table[["run", *_RUN, "frames", "win_rate_clean", "win_rate_noisy"]]


def describe_run(run_dir: str | Path) -> dict[str, str | float | int]:
    """Method, mixer, uncertainty set, ρ and seed of a run, from the config in its folder."""
    cfg = OmegaConf.load(Path(run_dir) / "config.yaml")
    uncertainty, mixer = cfg.uncertainty.name, cfg.mixer.name
    rho = float(cfg.uncertainty.get("rho", 0.0)) if uncertainty != "none" else 0.0
    label = {"none": "nominal", "tv": "TV"}.get(uncertainty, uncertainty)
    method = f"{label} {mixer.upper()}"
    if uncertainty != "none":
        method += f", ρ = {rho:g}"
    return {
        "method": method,
        "mixer": mixer,
        "uncertainty": uncertainty,
        "rho": rho,
        "seed": int(cfg.seed),
    }


def final_win_rates(win_rates: pd.DataFrame, last: int = 10) -> pd.DataFrame:
    """Win rates at the end of training: the mean of each run's last evaluations.

    Args:
        win_rates: rows of :func:`read_win_rates`.
        last: number of evaluations to average over.

    Returns:
        One row per method, with the number of runs ``n`` and, for ``clean`` and ``noisy``, mean
        and standard error over the runs.

    Example:
        >>> rows = pd.DataFrame({"run": ["a", "b"], "method": "nominal QMIX", "mixer": "qmix",
        ...     "uncertainty": "none", "rho": 0.0, "seed": [0, 1], "frames": 10_000,
        ...     "win_rate_clean": [0.5, 0.7], "win_rate_noisy": [0.1, 0.3]})
        >>> final_win_rates(rows)[["method", "clean", "clean_se", "n"]].round(2)
                 method  clean  clean_se  n
        0  nominal QMIX    0.6       0.1  2
    """
    check_table("win_rates", win_rates, ["run", *_RUN, "frames", *_TESTS])
    runs = _final_of_runs(win_rates, last)
    return (
        runs.groupby(["method", "mixer", "uncertainty", "rho"], sort=False)
        .agg(
            clean=("win_rate_clean", "mean"),
            clean_se=("win_rate_clean", "sem"),
            noisy=("win_rate_noisy", "mean"),
            noisy_se=("win_rate_noisy", "sem"),
            n=("run", "size"),
        )
        .reset_index()
    )


def _final_of_runs(win_rates: pd.DataFrame, last: int) -> pd.DataFrame:
    ends = win_rates.sort_values("frames").groupby("run", sort=False).tail(last)
    return ends.groupby(["run", *_RUN], sort=False)[list(_TESTS)].mean().reset_index()


def plot_win_rates(win_rates: pd.DataFrame, path: str | os.PathLike, smoothing: int = 5) -> Path:
    """Draws test win rates over training (Figure 3): a panel under noise, one without.

    A line is the mean over the runs of a method, of running means over ``smoothing`` evaluations;
    its band is the standard error over the runs.

    Args:
        win_rates: rows of :func:`read_win_rates`.
        path: where to write; the ending decides the format.
        smoothing: evaluations in a running mean; 1 draws them as they are.

    Returns:
        The path.

    Raises:
        ValueError: there are no rows, or columns are missing.
    """
    check_table("win_rates", win_rates, ["run", "method", "frames", *_TESTS])
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for ax, (column, title) in zip(axes, _TESTS.items(), strict=True):
        for i, (method, rows) in enumerate(win_rates.groupby("method", sort=False)):
            runs = rows.pivot_table(index="frames", columns="run", values=column)
            runs = runs.rolling(smoothing, min_periods=1).mean()
            mean, error = runs.mean(axis=1), runs.sem(axis=1).fillna(0.0)
            colour = COLOURS[i % len(COLOURS)]
            label = f"{method} ({runs.shape[1]} seed{'s' * (runs.shape[1] > 1)})"
            ax.plot(mean, color=colour, label=label)
            ax.fill_between(mean.index, mean - error, mean + error, color=colour, alpha=0.2, lw=0)
        ax.set_title(title)
        ax.set_xlabel("environment steps")
        ax.xaxis.set_major_formatter(EngFormatter(sep=""))
        ax.grid(alpha=0.3)
    axes[0].set_ylim(-0.02, 1.02)
    axes[0].yaxis.set_major_formatter(PercentFormatter(1.0))
    axes[0].set_ylabel("test win rate; mean ± standard error")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    return save_figure(figure, path)


def plot_rho_sweep(win_rates: pd.DataFrame, path: str | os.PathLike, last: int = 10) -> Path:
    """Draws what robust training adds to the final win rate, over ρ (Figure 4).

    Improvement is the difference to the nominal runs of the same mixer; its error bar is that of
    the difference of the two means.

    Args:
        win_rates: rows of :func:`read_win_rates`, nominal runs among them.
        path: where to write; the ending decides the format.
        last: number of evaluations that a run's final win rate is averaged over.

    Returns:
        The path.

    Raises:
        ValueError: there are no nominal runs of a mixer, or no robust ones.
    """
    final = final_win_rates(win_rates, last)
    robust = final[final["uncertainty"] != "none"]
    nominal = final[final["uncertainty"] == "none"].set_index("mixer")
    missing = sorted(set(robust["mixer"]) - set(nominal.index))
    if robust.empty or missing:
        raise ValueError(
            "Figure 4 compares robust runs with nominal ones of the same mixer. Missing: "
            f"{f'nominal runs of {missing}' if missing else 'robust runs'}."
        )
    figure = Figure(figsize=(10, 4), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for ax, (test, title) in zip(
        axes, (("noisy", "under noise"), ("clean", "without noise")), strict=True
    ):
        groups = robust.groupby(["mixer", "uncertainty"], sort=False)
        for i, ((mixer, uncertainty), rows) in enumerate(groups):
            rows = rows.sort_values("rho")
            base = nominal.loc[mixer]
            errors = np.hypot(rows[f"{test}_se"].fillna(0.0), np.nan_to_num(base[f"{test}_se"]))
            ax.errorbar(
                rows["rho"],
                rows[test] - base[test],
                errors,
                fmt="o-",
                capsize=4,
                color=COLOURS[i % len(COLOURS)],
                label=f"{'TV' if uncertainty == 'tv' else uncertainty} {mixer.upper()}",
            )
        ax.axhline(0.0, color="#555555", lw=1)
        ax.set_title(title)
        ax.set_xlabel("ρ")
        ax.grid(alpha=0.3)
    axes[0].yaxis.set_major_formatter(PercentFormatter(1.0))
    axes[0].set_ylabel("final win rate, difference to nominal")
    axes[0].legend(frameon=False)
    return save_figure(figure, path)


def plot_noise_levels(win_rates: pd.DataFrame, path: str | os.PathLike) -> Path:
    """Draws win rates over the strength of the noise, mean ± standard error over the runs.

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
    for i, (method, rows) in enumerate(win_rates.groupby("method", sort=False)):
        won = rows.groupby("std")["won"].agg(["mean", "sem"])
        n = rows["run"].nunique()
        ax.errorbar(
            won.index,
            won["mean"],
            won["sem"].fillna(0.0),
            fmt="o-",
            ms=4,
            capsize=4,
            color=COLOURS[i % len(COLOURS)],
            label=f"{method} ({n} seed{'s' * (n > 1)})",
        )
    ax.set_ylim(-0.02, 1.02)
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    ax.set_xlabel("standard deviation of the noise on enemies' positions")
    ax.set_ylabel("win rate; mean ± standard error")
    ax.grid(alpha=0.3)
    ax.legend(frameon=False)
    return save_figure(figure, path)
