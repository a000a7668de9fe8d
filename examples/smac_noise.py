"""Win rates of trained teams over the strength of the noise on enemies' positions.

    python examples/smac_noise.py runs/battles --out runs/battles_noise

Every run of smac_rqmix.py below the folders, with its checkpoint, plays the same battles at each
strength. Writes a table and a figure.
"""

import argparse
from pathlib import Path

import pandas as pd
from torchrl import logger as torchrl_logger
from tqdm import tqdm

from torchrl_drigm.evaluation import describe_runs, evaluate, plot_noise_levels, save_results
from torchrl_drigm.trainers import load_team


def main() -> None:
    """Play, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="+", type=Path, help="runs, at any depth")
    parser.add_argument("--out", type=Path, required=True, help="folder for table and figure")
    parser.add_argument(
        "--std", nargs="+", type=float, default=[0, 0.1, 0.2, 0.3, 0.5, 0.75], help="strengths"
    )
    parser.add_argument("--episodes", type=int, default=128, help="battles at each strength")
    args = parser.parse_args()
    torchrl_logger.setLevel("WARNING")
    runs = sorted(path.parent for folder in args.folder for path in folder.rglob("checkpoint"))
    if not runs:
        parser.error(f"no run with a checkpoint below {', '.join(map(str, args.folder))}.")
    tables = []
    for run in tqdm(runs, desc="runs", disable=None):  # None: a bar on terminals only
        team = load_team(run)
        visible_only = team.cfg.evaluation.visible_only
        suite = [{"name": f"{s}", "noise_std": s, "visible_only": visible_only} for s in args.std]
        battles = evaluate(team, suite=suite, episodes=args.episodes, seed=1000)
        won = battles.groupby("shift", sort=False)["won"].mean()
        tables.append(pd.DataFrame({"std": won.index.astype(float), "won": won.values}))
        tables[-1]["run"] = str(run)
    table = describe_runs(runs).merge(pd.concat(tables), on="run")
    summary = table.pivot_table(index="method", columns="std", values="won", sort=False)
    print(summary.to_string(float_format="{:.3f}".format))
    files = [
        save_results(table, args.out / "noise_levels.csv"),
        plot_noise_levels(table, args.out / "noise_levels.png"),
    ]
    print("Written:", *(f"  {file}" for file in files), sep="\n")


if __name__ == "__main__":
    main()
