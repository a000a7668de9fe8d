"""Evaluate the team of a run under shift."""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd
import torch
from torchrl import logger as torchrl_logger

from torchrl_drigm._files import check_place
from torchrl_drigm.commands._controls import load_controls, train_controls
from torchrl_drigm.commands._shifts import asked_shifts
from torchrl_drigm.evaluation.controls import HINDSIGHT, best_in_hindsight, has_controls
from torchrl_drigm.evaluation.measures import shown_measure
from torchrl_drigm.evaluation.methods import name_of
from torchrl_drigm.evaluation.report import evaluate_all, report_returns
from torchrl_drigm.trainers import (
    Team,
    is_released,
    load_released_team,
    load_team,
    released_label,
)

__all__ = ["HELP", "add_arguments", "main"]

HELP = "evaluate the team of a run in the shifts of a suite"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this command."""
    parser.description = (
        "Plays the trained team of a run in every shift of a suite, prints a table, and leaves "
        "rows and a picture in the run's folder, or where --out says. A suite of your own is a "
        "YAML file with a list of shifts: '- {name: summer, days: [150, 240]}'. For a building "
        "the command line may say climates and days, alone or for each shift of a suite. A "
        "robust result says little by itself: part of it, or all, is what nominal training with "
        "a smaller discount gives. With --controls that is trained, five or six runs like this "
        "one in RUN/controls, and shown in the same episodes; what is there already is shown "
        "without being asked for. The networks that the paper's authors published are evaluated "
        "alike: RUN is then a folder of theirs, which has network_parameter/agent_0_q_network.pt "
        "and so on."
    )
    parser.add_argument("run", type=Path, help="folder of the run, or of published networks")
    parser.add_argument("--suite", help="name of a suite, or a YAML file (the task's first)")
    parser.add_argument(
        "--climates",
        nargs="+",
        metavar="CLIMATE",
        help="of a building: each env_1 to env_6, a weather or location of SustainGym's, or "
        "WEATHER,LOCATION",
    )
    parser.add_argument(
        "--days",
        nargs="+",
        metavar="LO:HI",
        help="of a building: half-open ranges of days of the year, from 0",
    )
    parser.add_argument(
        "--out",
        type=Path,
        help="folder for rows and picture, or a file *.csv, beside which the picture is (the run's "
        "folder)",
    )
    parser.add_argument("--episodes", type=int, default=50, help="episodes in each shift (50)")
    parser.add_argument("--seed", type=int, default=11, help="of the episodes (11)")
    parser.add_argument("--device", default="cpu", help="where the team acts (cpu)")
    parser.add_argument(
        "--references", action="store_true", help="policies that need no learning, too"
    )
    parser.add_argument(
        "--controls",
        action="store_true",
        help="train what is missing of a robust run's controls: nominal runs with its discount γ, "
        "γ(1-ρ), and 0.95, 0.9, 0.7 and 0.5 of γ; stopped ones go on",
    )
    parser.add_argument("--jobs", type=int, default=1, help="controls to train at a time (1)")


def main(arguments: argparse.Namespace) -> None:
    """Evaluate, print and write."""
    torchrl_logger.setLevel("WARNING")
    if arguments.episodes < 1:  # before anything is trained
        raise ValueError(f"--episodes={arguments.episodes} must be at least 1.")
    if arguments.seed < 0:
        raise ValueError(f"--seed={arguments.seed} must be at least 0.")
    torch.set_num_threads(1)
    name, team = _load(arguments)
    suite, shifts = asked_shifts(team.task, arguments.suite, arguments.climates, arguments.days)
    folder, file = _place(arguments.out or arguments.run, f"evaluation_{suite}.csv")
    folders = None
    if arguments.controls:
        folders = train_controls(arguments.run, arguments.jobs, arguments.modules)
    controls = {}
    if has_controls(team.cfg):
        controls = load_controls(arguments.run, folders, arguments.device)
    policies = {name: team} | controls
    if arguments.references:
        policies |= {label: make() for label, make in team.task.references.items()}
    results = evaluate_all(
        policies, team.task, shifts, episodes=arguments.episodes, seed=arguments.seed
    )
    if len(controls) > 1:
        own = results["policy"].isin([name, *controls])
        best = best_in_hindsight(results, controls, shown_measure(results)[0])
        results = pd.concat([results[own], best, results[~own]], ignore_index=True)
    results["suite"] = suite
    # of a picture with all discounts of the grid nobody could read anything
    drawn = [name, *_drawn(list(controls)), HINDSIGHT]
    undrawn = [label for label in controls if label not in drawn]
    files = report_returns(results, arguments.run, drawn, file, undrawn, out=folder)
    print("\nWritten:", *(f"  {file}" for file in files), sep="\n")


def _place(out: Path, name: str) -> tuple[Path, str]:
    """Folder and name of the file of rows."""
    folder, name = (out.parent, out.name) if out.suffix == ".csv" else (out, name)
    check_place(f"--out={out}", folder)
    if (folder / name).is_dir():
        raise ValueError(f"--out={out} is a folder: name a folder without the ending .csv.")
    return folder, name


def _load(arguments: argparse.Namespace) -> tuple[str, Team]:
    """The team, of a run or of published networks, and what tables call it."""
    if not is_released(arguments.run):
        team = load_team(arguments.run, device=arguments.device)
        return name_of(team.cfg), team
    if arguments.controls:
        raise ValueError(
            f"--controls: {arguments.run} holds published networks and no config.yaml, so there is "
            "nothing to train their controls by. Leave --controls out."
        )
    team = load_released_team(arguments.run, device=arguments.device)
    return released_label(arguments.run), team


def _drawn(controls: list[str]) -> list[str]:
    """The largest discount, which is the run's own, and γ(1-ρ)."""
    return [label for i, label in enumerate(controls) if not i or "γ(1-ρ)" in label]
