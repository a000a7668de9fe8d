"""Evaluate the team of a run under shift."""

from __future__ import annotations

import argparse

from torchrl_drigm._files import check_place
from torchrl_drigm.commands._checks import (
    check_at_least,
    check_controls,
    check_imported,
    check_out,
    check_seed,
    path_of,
)
from torchrl_drigm.commands._shifts import asked_shifts
from torchrl_drigm.config import compose_config
from torchrl_drigm.config.names import check_device
from torchrl_drigm.tasks._outlines import outline_of
from torchrl_drigm.trainers.checkpoint_version import check_there
from torchrl_drigm.trainers.released_folder import RELEASED, find_networks, is_released
from torchrl_drigm.trainers.runs import read_config

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
    parser.add_argument("run", type=path_of, help="folder of the run, or of published networks")
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
        type=path_of,
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
    _check(arguments)
    # not before: it imports PyTorch
    from torchrl_drigm.commands._evaluation import evaluate_run

    evaluate_run(arguments)


def _check(arguments: argparse.Namespace) -> None:
    """Refuse what is asked for, as far as that needs neither PyTorch nor a simulator."""
    check_at_least("--episodes", arguments.episodes, 1)
    check_seed("--seed", arguments.seed)
    check_at_least("--jobs", arguments.jobs, 1)
    check_device("--device", arguments.device)
    check_out(arguments.out, (".csv",))
    run = arguments.run
    if is_released(run):
        find_networks(run)
        cfg = compose_config(*RELEASED)
        if arguments.controls:
            raise ValueError(
                f"--controls: {run} holds published networks and no config.yaml, so there is "
                "nothing to train their controls by. Leave --controls out."
            )
    else:
        cfg = read_config(run)
        check_there(run, cfg)
        check_imported(cfg)
        if arguments.controls:
            check_controls(cfg, run)
    if arguments.out is None:
        check_place(str(run), run)
    if (outline := outline_of(cfg.env)) is not None:
        asked_shifts(outline, arguments.suite, arguments.climates, arguments.days)
