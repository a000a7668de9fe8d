"""Compare runs over their seeds: ``python -m torchrl_drigm.evaluation FOLDER [FOLDER ...]``.

Each folder is one method and holds its runs, one per seed, at any depth. A row of the table is the
mean over the runs ± its standard error, of the normalised return averaged over a run's episodes.
Reference policies are shown once.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from torchrl_drigm.evaluation.policies import REFERENCES
from torchrl_drigm.evaluation.statistics import format_table, summarize


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
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m torchrl_drigm.evaluation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", nargs="+", type=Path, help="a method's folder with its runs")
    folders = parser.parse_args(arguments).folder
    print(format_table(summarize(compare_runs(folders))))


if __name__ == "__main__":
    main()
