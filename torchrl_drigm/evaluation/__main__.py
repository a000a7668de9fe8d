"""Results of several runs, over their seeds.

python -m torchrl_drigm.evaluation compare FOLDER [FOLDER ...]
python -m torchrl_drigm.evaluation win-rates FOLDER [FOLDER ...] --out FOLDER
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from torchrl_drigm.evaluation.files import save_results
from torchrl_drigm.evaluation.policies import REFERENCES
from torchrl_drigm.evaluation.statistics import format_table, summarize
from torchrl_drigm.evaluation.win_rates import (
    final_win_rates,
    plot_rho_sweep,
    plot_win_rates,
    read_win_rates,
)


def compare_runs(folders: list[Path]) -> pd.DataFrame:
    """One row per method, run and shift, for :func:`~torchrl_drigm.evaluation.summarize`.

    Args:
        folders (list of Path): a folder per method, named by it, with ``evaluation.csv`` below.

    Raises:
        FileNotFoundError: if a folder holds no ``evaluation.csv``.
    """
    rows = []
    for folder in folders:
        files = sorted(folder.rglob("evaluation.csv"))
        if not files:
            raise FileNotFoundError(f"no evaluation.csv below {folder}: name folders of runs.")
        for file in files:
            results = pd.read_csv(file)
            reference = results["policy"].isin(list(REFERENCES))
            results["policy"] = results["policy"].where(reference, folder.name)
            keys = ["policy", "shift", "location"]
            means = results.groupby(keys, sort=False)["normalized_return"].mean().reset_index()
            rows.append(means.assign(run=str(file.parent)))
    table = pd.concat(rows, ignore_index=True)
    learned = ~table["policy"].isin(list(REFERENCES))
    return pd.concat([table[learned], table[~learned]], ignore_index=True)


def main(arguments: list[str] | None = None) -> None:
    """Print a table; of battles, draw the curves too."""
    parser = argparse.ArgumentParser(prog="python -m torchrl_drigm.evaluation", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    compare = commands.add_parser(
        "compare",
        help="normalised returns of buildings, as a table",
        description="Each folder is one method and holds its runs, one per seed, at any depth. A "
        "row of the table is the mean over the runs ± its standard error, of the normalised return "
        "averaged over a run's episodes. Reference policies are shown once.",
    )
    compare.add_argument("folder", nargs="+", type=Path, help="a method's folder with its runs")
    battles = commands.add_parser(
        "win-rates",
        help="win rates of StarCraft battles, as a table, CSV and Figures 3 and 4 of the paper",
        description="Runs of smac_rqmix.py, at any depth of the folders. Runs that differ in their "
        "seed alone are one method. Figure 4 needs nominal runs and robust ones.",
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
    print(final.to_string(index=False, float_format="{:.3f}".format))
    files = [
        save_results(win_rates, chosen.out / "win_rates.csv"),
        plot_win_rates(win_rates, chosen.out / "win_rates.png"),
    ]
    if {"none"} < set(final["uncertainty"]):
        files.append(plot_rho_sweep(win_rates, chosen.out / "rho_sweep.png", chosen.last))
    print("Written:", *(f"  {file}" for file in files), sep="\n")


if __name__ == "__main__":
    main()
