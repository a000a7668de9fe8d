"""Compare runs over their seeds."""

from __future__ import annotations

import argparse

from torchrl_drigm.commands._checks import check_at_least, check_out, path_of
from torchrl_drigm.evaluation.environments import find_runs
from torchrl_drigm.trainers.checkpoint_place import CONFIG

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
        "or shorter than others, are named and left out. Runs of several environments (env.name, "
        "env.make, building, map, scenario) are a table each, and with --out a folder each."
    )
    parser.add_argument("folder", nargs="+", type=path_of, help="a folder of runs")
    parser.add_argument(
        "--win-rates",
        action="store_true",
        help="of runs that were tested during training: win rates, as a table and, with --out, CSV "
        "and Figures 3 and 4 of the paper",
    )
    parser.add_argument("--out", type=path_of, help="folder for CSV and figures")
    parser.add_argument(
        "--last", type=int, default=10, help="evaluations that a final win rate averages (10)"
    )


def main(arguments: argparse.Namespace) -> None:
    """Print a table for each environment; with a folder to write into, leave them there."""
    check_at_least("--last", arguments.last, 1)
    check_out(arguments.out)
    runs = [run for folder in arguments.folder for run in find_runs(folder)]
    if not any((run / CONFIG).is_file() for run in runs):
        raise FileNotFoundError(
            f"no {CONFIG} below {', '.join(map(str, arguments.folder))}: what a run is, it says. "
            "Name folders of runs, copied with it."
        )
    # not before: it imports PyTorch
    from torchrl_drigm.commands._comparison import returns, win_rates

    if arguments.win_rates:
        win_rates(arguments.folder, arguments.out, arguments.last)
    else:
        returns(arguments.folder, arguments.out)
