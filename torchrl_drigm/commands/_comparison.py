"""Tables of runs over their seeds, one for each environment: printed, and left in a folder."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from torchrl_drigm.evaluation.compare import compare_each
from torchrl_drigm.evaluation.environments import group_by_environment, slug
from torchrl_drigm.evaluation.files import save_results
from torchrl_drigm.evaluation.scores import seed_scores
from torchrl_drigm.evaluation.seed_tables import (
    format_improvements,
    format_seeds,
    improvements,
    summarize_seeds,
)
from torchrl_drigm.evaluation.statistics import format_table, summarize
from torchrl_drigm.evaluation.win_rate_plots import plot_rho_sweep, plot_win_rates
from torchrl_drigm.evaluation.win_rates import beside_controls, read_win_rates

__all__ = ["returns", "win_rates"]


def returns(folders: list[Path], out: Path | None) -> None:
    """Print returns; with a folder to write into, leave ``compared.csv`` there.

    Of several environments each has a folder in it.
    """
    compared = compare_each(folders)
    files = []
    for label, table in compared.items():
        place = _begin(label, out, len(compared))
        print(format_table(summarize(table)))
        _print_over_seeds(table)
        if table.attrs["missing_controls"]:
            print(f"\n{table.attrs['missing_controls']}")
        if place is not None:
            files.append(save_results(table, place / "compared.csv"))
    _print_files(files)


def _print_over_seeds(compared: pd.DataFrame) -> None:
    """Print what several seeds come to, or why methods that were judged differently have none."""
    if compared.groupby("policy")["seed"].nunique().max() < 2:
        return
    try:
        scores = seed_scores(compared)
    except ValueError as error:
        print(f"\nNo interquartile means: {error}")
        return
    print("\nOver all shifts, with intervals of resampled seeds (docs/statistics.md):\n")
    print(format_seeds(summarize_seeds(scores)))
    if controls := compared.attrs["controls"]:
        print("\nProbability that a run is better than one of a control, mean over the shifts:\n")
        print(format_improvements(improvements(scores, controls)))


def win_rates(folders: list[Path], out: Path | None, last: int) -> None:
    """Print final win rates; with a folder to write into, draw the curves too."""
    rates = read_win_rates(folders)
    groups = group_by_environment(rates["run"].unique())
    files = []
    for label, runs in groups.items():
        place = _begin(label, out, len(groups))
        files += _win_rates(rates[rates["run"].isin(runs)], place, last)
    _print_files(files)


def _win_rates(rates: pd.DataFrame, out: Path | None, last: int) -> list[Path]:
    """Those of one environment."""
    final, missing = beside_controls(rates, last)
    columns = ["method", "n", "clean", "clean_se", "noisy", "noisy_se"]
    shown = final[columns].to_string(index=False, float_format="{:.3f}".format, na_rep="one run")
    print(shown)
    if missing:
        print(f"\n{missing}")
    if out is None:
        return []
    files = [
        save_results(rates, out / "win_rates.csv"),
        plot_win_rates(rates, out / "win_rates.png"),
    ]
    try:
        files.append(plot_rho_sweep(rates, out / "rho_sweep.png", last))
    except ValueError as error:
        print(f"Not drawn: {error}")
    return files


def _begin(label: str, out: Path | None, n: int) -> Path | None:
    """Say which environment comes, if there are several, and in which folder its files are."""
    if n == 1:
        return out
    print(f"\n{label}:\n")
    return None if out is None else out / slug(label)


def _print_files(files: list[Path]) -> None:
    if files:
        print("Written:", *(f"  {file}" for file in files), sep="\n")
