"""The team of a run under shift: played beside its controls and references, and reported."""

from __future__ import annotations

import argparse

import pandas as pd
import torch
from torchrl import logger as torchrl_logger

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

__all__ = ["evaluate_run"]


def evaluate_run(arguments: argparse.Namespace) -> None:
    """Evaluate, print and write.

    Args:
        arguments (Namespace): of the command, which has checked them.
    """
    torchrl_logger.setLevel("WARNING")
    torch.set_num_threads(1)
    name, team = _load(arguments)
    suite, shifts = asked_shifts(team.task, arguments.suite, arguments.climates, arguments.days)
    team.task.check_shifts(suite, shifts)
    out, file = arguments.out or arguments.run, f"evaluation_{suite}.csv"
    folder, file = (out.parent, out.name) if out.suffix == ".csv" else (out, file)
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


def _load(arguments: argparse.Namespace) -> tuple[str, Team]:
    """The team, of a run or of published networks, and what tables call it."""
    if not is_released(arguments.run):
        team = load_team(arguments.run, device=arguments.device)
        return name_of(team.cfg), team
    team = load_released_team(arguments.run, device=arguments.device)
    return released_label(arguments.run), team


def _drawn(controls: list[str]) -> list[str]:
    """The largest discount, which is the run's own, and γ(1-ρ)."""
    return [label for i, label in enumerate(controls) if not i or "γ(1-ρ)" in label]
