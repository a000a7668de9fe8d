"""Compare runs over their seeds."""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from torchrl_drigm.evaluation.compare import compare_runs
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

__all__ = ["HELP", "add_arguments", "main"]

HELP = "compare runs over their seeds: a table, of battles the paper's figures too"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this command."""
    parser.description = (
        "Runs at any depth of the folders. Runs whose configs differ in their seed alone are one "
        "method, and a row of the table: the mean over the runs ± its standard error, of the "
        "return averaged over a run's episodes; it is the normalised return where all runs have "
        "one. Below each robust method stand its controls, nominal methods that differ in the set "
        "and the discount alone, and the best of these in hindsight; a method without them is "
        "marked. Of reference policies, which do not learn, one run is shown. With several seeds "
        "a second table has the mean over all shifts, the interquartile mean and the worst shift, "
        "and a third how probably a robust run is better than its controls. Of runs that were "
        "tested during training, such as battles, it is the final win rate. Runs that are damaged, "
        "or shorter than others, are named and left out."
    )
    parser.add_argument("folder", nargs="+", type=Path, help="a folder of runs")
    parser.add_argument(
        "--win-rates",
        action="store_true",
        help="of runs that were tested during training: win rates, as a table and, with --out, CSV "
        "and Figures 3 and 4 of the paper",
    )
    parser.add_argument("--out", type=Path, help="folder for CSV and figures")
    parser.add_argument(
        "--last", type=int, default=10, help="evaluations that a final win rate averages (10)"
    )


def main(arguments: argparse.Namespace) -> None:
    """Print a table; with a folder to write into, leave it there."""
    if arguments.win_rates:
        win_rates(arguments.folder, arguments.out, arguments.last)
        return
    compared = compare_runs(arguments.folder)
    print(format_table(summarize(compared)))
    print_over_seeds(compared)
    if compared.attrs["missing_controls"]:
        print(f"\n{compared.attrs['missing_controls']}")
    if arguments.out is not None:
        print("Written:", f"  {save_results(compared, arguments.out / 'compared.csv')}", sep="\n")


def print_over_seeds(compared: pd.DataFrame) -> None:
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
    final, missing = beside_controls(rates, last)
    columns = ["method", "n", "clean", "clean_se", "noisy", "noisy_se"]
    shown = final[columns].to_string(index=False, float_format="{:.3f}".format, na_rep="one run")
    print(shown)
    if missing:
        print(f"\n{missing}")
    if out is None:
        return
    files = [
        save_results(rates, out / "win_rates.csv"),
        plot_win_rates(rates, out / "win_rates.png"),
    ]
    try:
        files.append(plot_rho_sweep(rates, out / "rho_sweep.png", last))
    except ValueError as error:
        print(f"Not drawn: {error}")
    print("Written:", *(f"  {file}" for file in files), sep="\n")
