"""Evaluate the team of a run under shift."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torchrl import logger as torchrl_logger

from torchrl_drigm.evaluation.methods import name_of
from torchrl_drigm.evaluation.report import evaluate_all, report_returns
from torchrl_drigm.tasks import read_suite
from torchrl_drigm.trainers import load_team

__all__ = ["HELP", "add_arguments", "main"]

HELP = "evaluate the team of a run in the shifts of a suite"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this command."""
    parser.description = (
        "Plays the trained team of a run in every shift of a suite, prints a table, and leaves "
        "rows and a picture in the run's folder. A suite of your own is a YAML file with a list of "
        "shifts: '- {name: summer, days: [150, 240]}'."
    )
    parser.add_argument("run", type=Path, help="folder of the run")
    parser.add_argument("--suite", help="name of a suite, or a YAML file (the task's first)")
    parser.add_argument("--episodes", type=int, default=50, help="episodes in each shift (50)")
    parser.add_argument("--seed", type=int, default=11, help="of the episodes (11)")
    parser.add_argument("--device", default="cpu", help="where the team acts (cpu)")
    parser.add_argument(
        "--references", action="store_true", help="policies that need no learning, too"
    )


def main(arguments: argparse.Namespace) -> None:
    """Evaluate, print and write."""
    torchrl_logger.setLevel("WARNING")
    torch.set_num_threads(1)
    team = load_team(arguments.run, device=arguments.device)
    suite, shifts = read_suite(team.task, arguments.suite)
    name = name_of(team.cfg)
    policies = {name: team}
    if arguments.references:
        policies |= {label: make() for label, make in team.task.references.items()}
    results = evaluate_all(
        policies, team.task, shifts, episodes=arguments.episodes, seed=arguments.seed
    )
    results["suite"] = suite
    files = report_returns(results, arguments.run, name, f"evaluation_{suite}.csv")
    print("\nWritten:", *(f"  {file}" for file in files), sep="\n")
