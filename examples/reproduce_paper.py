"""Section 5 of the DrIGM paper, experiment by experiment.

Each experiment trains what is missing, plays every team, and prints its table: our mean ± standard
error over the seeds, the paper's, and the controls: nominal training with other discounts, since
contamination with a constant worst value is nothing else.

    python examples/reproduce_paper.py                          all buildings, 5 seeds, preset=fast
    python examples/reproduce_paper.py --experiment 2 --seeds 3 --preset paper
    python examples/reproduce_paper.py --dry-run                what it would train, and how long
    python examples/reproduce_paper.py --experiment 4           battles, on SMAX: hours

What was trained stays in runs/reproduce; stopped anywhere, it goes on when it is started again.
"""

import argparse
from pathlib import Path

from torchrl_drigm.__main__ import main as torchrl_drigm

EXPERIMENTS = {
    # 5.1 Buildings: train in env_1 (Tucson), days 1 to 200, and test ...
    "1": ("climate", "Experiment 1, Figure 2: in six climates, on the days of training"),
    "2": ("season", "Experiment 2, Table 1: in Tucson, on other days"),
    "3": ("climate_season", "Experiment 3, Table 2: in New York, on other days"),
    # 5.2 StarCraft II: train without noise, and test with it
    "4": ("battles", "Figures 3 and 4: 3s_vs_5z with noise on the enemies' positions"),
}


def main() -> None:
    """One experiment after the other."""
    text = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=text)
    parser.add_argument("--experiment", nargs="+", choices=EXPERIMENTS, default=["1", "2", "3"])
    presets = ("fast", "paper", "released")
    parser.add_argument("--preset", choices=presets, default="fast", help="on buildings (fast)")
    parser.add_argument("--seeds", type=int, default=5, help="runs of each algorithm (5)")
    told = "folder of it all (runs/reproduce/PRESET, of experiment 4 runs/reproduce/battles)"
    parser.add_argument("--out", type=Path, help=told)
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and stop")
    arguments = parser.parse_args()
    wrong = False
    for experiment in arguments.experiment:
        part, title = EXPERIMENTS[experiment]
        name = part if part == "battles" else arguments.preset
        out = arguments.out or Path("runs") / "reproduce" / name
        options = [f"--seeds={arguments.seeds}", f"--out={out}"]
        options += [] if part == "battles" else [f"--preset={arguments.preset}"]
        options += ["--dry-run"] if arguments.dry_run else []
        print(f"\n== {title}\n", flush=True)
        try:
            torchrl_drigm(["reproduce", "--part", part, *options])
        except SystemExit as error:
            if error.code != 1 or error.__cause__ is not None:  # refused, or stopped
                raise
            wrong = True  # a run that diverged is named, and in no table
        for suite in [] if arguments.dry_run else _suites(part):
            print(f"\n{(out / 'results' / f'{suite}.md').read_text()}")
    if wrong:
        raise SystemExit(1)


def _suites(part: str) -> list[str]:
    """Names of a part's tables: of seasons as the paper's numbers were made, and as it says."""
    if part in ("season", "climate_season"):
        return [f"{part}_paper", f"{part}_strict"]
    return ["noise_strength", "hard_enemies"] if part == "battles" else [part]


if __name__ == "__main__":
    main()
