"""Results of several runs, over their seeds.

python -m torchrl_drigm.evaluation compare FOLDER [FOLDER ...]
python -m torchrl_drigm.evaluation win-rates FOLDER [FOLDER ...] --out FOLDER
"""

from __future__ import annotations

import argparse
from pathlib import Path

from torchrl_drigm.evaluation.compare import compare_runs
from torchrl_drigm.evaluation.files import save_results
from torchrl_drigm.evaluation.statistics import format_table, summarize
from torchrl_drigm.evaluation.win_rate_plots import plot_rho_sweep, plot_win_rates
from torchrl_drigm.evaluation.win_rates import final_win_rates, read_win_rates


def main(arguments: list[str] | None = None) -> None:
    """Print a table; of battles, draw the curves too."""
    parser = argparse.ArgumentParser(prog="python -m torchrl_drigm.evaluation", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    compare = commands.add_parser(
        "compare",
        help="returns in buildings, as a table",
        description="Runs of sustaingym_rqmix.py, at any depth of the folders. Runs whose configs "
        "differ in their seed alone are one method, and a row of the table: the mean over the runs "
        "± its standard error, of the return averaged over a run's episodes. It is the normalised "
        "return where all buildings have one. Of reference policies, which do not learn, one run "
        "is shown. Runs that are damaged, or shorter than others, are named and left out.",
    )
    compare.add_argument("folder", nargs="+", type=Path, help="a folder of runs")
    battles = commands.add_parser(
        "win-rates",
        help="win rates of StarCraft battles, as a table, CSV and Figures 3 and 4 of the paper",
        description="Runs of smac_rqmix.py, at any depth of the folders. Runs whose configs differ "
        "in their seed alone are one method. Runs that are damaged, or shorter than others, are "
        "named and left out. Figure 4 needs nominal runs and robust ones.",
    )
    battles.add_argument("folder", nargs="+", type=Path, help="a folder of runs")
    battles.add_argument("--out", type=Path, required=True, help="folder for CSV and figures")
    battles.add_argument(
        "--last", type=int, default=10, help="evaluations that a final win rate averages"
    )
    chosen = parser.parse_args(arguments)
    if chosen.command == "compare":
        print(format_table(summarize(compare_runs(chosen.folder))))
        return
    win_rates = read_win_rates(chosen.folder)
    final = final_win_rates(win_rates, chosen.last)
    columns = ["method", "n", "clean", "clean_se", "noisy", "noisy_se"]
    shown = final[columns].to_string(index=False, float_format="{:.3f}".format, na_rep="one run")
    print(shown)
    files = [
        save_results(win_rates, chosen.out / "win_rates.csv"),
        plot_win_rates(win_rates, chosen.out / "win_rates.png"),
    ]
    try:
        files.append(plot_rho_sweep(win_rates, chosen.out / "rho_sweep.png", chosen.last))
    except ValueError as error:
        print(f"Not drawn: {error}")
    print("Written:", *(f"  {file}" for file in files), sep="\n")


if __name__ == "__main__":
    main()
