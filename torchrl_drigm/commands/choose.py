"""Choose ρ, or any other field, in shifts of validation."""

from __future__ import annotations

import argparse
import shlex
import textwrap
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from omegaconf import DictConfig, OmegaConf
from torchrl import logger as torchrl_logger

from torchrl_drigm._files import atomic_path
from torchrl_drigm._source import commit, installed_version
from torchrl_drigm.commands._runs import train_runs
from torchrl_drigm.commands._sweeps import Sweep, claim_sweep, read_sweep, typed
from torchrl_drigm.commands.train import configs
from torchrl_drigm.evaluation.choosing import (
    SCORES,
    best_value,
    choice_table,
    plot_choice,
    score_values,
)
from torchrl_drigm.evaluation.controls import own_modules
from torchrl_drigm.evaluation.evaluate import evaluate
from torchrl_drigm.evaluation.files import save_results
from torchrl_drigm.tasks import Task, make_task, read_suite, refuse_test_shifts
from torchrl_drigm.tasks.suites import VALIDATION, Shift
from torchrl_drigm.trainers import load_team
from torchrl_drigm.trainers.builders import make_uncertainty

__all__ = ["HELP", "add_arguments", "main"]

HELP = "choose ρ, or any other field: train each value, judge it in shifts of validation"

_EXAMPLES = """examples:
  python -m torchrl_drigm choose building uncertainty=tv uncertainty.rho=0.1,0.2,0.3 seed=0,1
  python -m torchrl_drigm choose building uncertainty=none optim.gamma=0.99,0.9,0.7 seed=0,1
      the discount of the control, tuned alike
  python -m torchrl_drigm choose torchrl uncertainty.rho=0.01,0.05 --validate my.yaml --jobs 2"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this command."""
    about = (
        "Trains every value with every seed, each as an ordinary run, plays all of them in shifts "
        "that no test has, and writes down which value is best: a table, choice.png, and "
        "choice.yaml with the command that trains with it. Shifts that a test suite of the task "
        "or evaluation.suite has are refused, whatever they are called. Runs that are done stay, "
        "runs that were stopped go on, and values and seeds may be added, in the same --out. Train "
        "what is to be tested with seeds of its own, as the chosen value suits those of the choice."
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter  # of the examples
    parser.description = textwrap.fill(about, 78)
    parser.epilog = _EXAMPLES
    parser.add_argument("config", help="name of a config, as of train")
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="FIELD=VALUE",
        help="overrides as of train; one field has several values (rho=0.1,0.3), and seed may",
    )
    parser.add_argument(
        "--validate",
        metavar="SUITE",
        default=VALIDATION,
        help="name of a suite, or a YAML file with shifts (validation)",
    )
    parser.add_argument(
        "--score",
        choices=SCORES,
        default="mean",
        help="what is best: the mean over the shifts of the mean over the seeds, or the worst "
        "shift's mean over the seeds (mean)",
    )
    parser.add_argument("--episodes", type=int, default=50, help="episodes in each shift (50)")
    parser.add_argument(
        "--episode-seed", type=int, default=12, help="of the episodes; tests have 11 (12)"
    )
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time (1)")
    parser.add_argument(
        "--out", type=Path, help="folder of the sweep (runs/CONFIG/choose_TIME); name it to go on"
    )
    parser.add_argument("--config-dir", help="folder of configs of your own, as of train")


def main(arguments: argparse.Namespace) -> None:
    """Train, judge, choose and write it down."""
    torchrl_logger.setLevel("WARNING")
    if arguments.config not in configs() and arguments.config_dir is None:
        raise ValueError(
            f"{arguments.config!r} is no config; there are: {', '.join(configs())}. One of your "
            "own needs --config-dir=FOLDER."
        )
    if arguments.episodes < 1:
        raise ValueError(f"--episodes={arguments.episodes} must be at least 1.")
    sweep = read_sweep(arguments.config, arguments.overrides, arguments.config_dir)
    name = f"choose_{time.strftime('%Y-%m-%d_%H-%M-%S')}"
    folder = arguments.out or Path("runs") / sweep.config / name
    runs = sweep.runs(folder)
    modules = dict.fromkeys([*arguments.modules, *_own_modules(runs)])
    for module in modules:  # named on the command line, and not by a folder
        import_module(module)
    for _, cfg in runs.values():  # a size that its set does not take, before the first is trained
        make_uncertainty(cfg)
    suite, shifts = _validation([cfg for _, cfg in runs.values()], arguments.validate)
    claim_sweep(sweep, folder)
    print(
        f"{len(sweep.values)} values of {sweep.field} × {len(sweep.seeds)} seeds, judged in "
        f"{suite!r}. If it is stopped: the same with --out {shlex.quote(str(folder))} goes on.",
        flush=True,
    )
    train_runs(dict(runs.values()), arguments.jobs, modules)
    torch.set_num_threads(1)
    tables = []
    for (value, seed), (run, _) in runs.items():
        team = load_team(run)
        played = evaluate(
            team, suite=shifts, episodes=arguments.episodes, seed=arguments.episode_seed
        )
        tables.append(played.assign(value=typed(value), seed=int(seed), suite=suite))
    results = pd.concat(tables, ignore_index=True)
    results.attrs["measure"] = team.task.measure
    scores = score_values(results, arguments.score)
    print(f"\n{choice_table(results, sweep.field, arguments.score)}\n")
    files = [
        save_results(results, folder / "validation.csv"),
        plot_choice(results, folder / "choice.png", sweep.field, arguments.score),
        _write_choice(folder / "choice.yaml", sweep, scores, shifts, suite, arguments),
    ]
    best = best_value(scores)
    print(f"Chosen: {sweep.field}={best}, by the {SCORES[arguments.score]}.")
    numeric = all(isinstance(value, int | float) for value in scores.index.tolist())
    if numeric and best in (min(scores.index), max(scores.index)):
        print("It is the smallest or the largest of the values: one beyond it may be better.")
    print("It is trained with", f"  {_command(sweep, best)}", sep="\n")
    print("\nWritten:", *(f"  {file}" for file in files), sep="\n")


def _own_modules(runs: dict[Any, tuple[Path, DictConfig]]) -> list[str]:
    return [module for _, cfg in runs.values() for module in own_modules(cfg)]


def _validation(composed: Sequence[DictConfig], validate: str) -> tuple[str, list[Shift]]:
    """The shifts to choose in, if none of them is tested in by a suite of task or config."""
    for cfg in composed:
        task = make_task(cfg)
        if validate == VALIDATION and VALIDATION not in task.suites:
            raise ValueError(
                f"env.name={task.name!r} has no suite {VALIDATION!r}; it has "
                f"{', '.join(task.suites)}, to test in. Name a YAML file with shifts to choose in: "
                "--validate FILE.yaml."
            )
        suite, shifts = read_suite(task, validate)
        refuse_test_shifts(task, suite, shifts, _tested(cfg, task))
    return suite, shifts


def _tested(cfg: DictConfig, task: Task) -> dict[str, list[Shift]]:
    """Shifts that the runs themselves are tested in."""
    if "suite" in cfg.evaluation:
        name, shifts = read_suite(task, cfg.evaluation.suite)
        if name in task.suites and name != VALIDATION:
            return {}  # the task's own are tests anyway
        return {f"evaluation.suite={name}": shifts}
    words = {word: cfg.evaluation[word] for word in task.shifts if word in cfg.evaluation}
    return {"evaluation": [{"name": "noisy", **words}]}


def _write_choice(
    path: Path,
    sweep: Sweep,
    scores: pd.Series,
    shifts: list[Shift],
    suite: str,
    arguments: argparse.Namespace,
) -> Path:
    best = best_value(scores)
    choice = {
        "field": sweep.field,
        "value": best,
        "score": float(scores[best]),
        "rule": f"{SCORES[arguments.score]} of the mean over the seeds",
        "scores": {str(value): float(score) for value, score in scores.items()},
        "suite": suite,
        "shifts": shifts,
        "seeds": [int(seed) for seed in sweep.seeds],
        "episodes": arguments.episodes,
        "episode_seed": arguments.episode_seed,
        "config": sweep.config,
        "overrides": list(sweep.fixed),
        "version": installed_version(),
        "commit": commit(),
        "command": _command(sweep, best),
    }
    with atomic_path(path) as temporary:
        OmegaConf.save(OmegaConf.create(choice), temporary)
    return path


def _command(sweep: Sweep, best: Any) -> str:
    """What trains with the value; seeds are the user's."""
    (chosen,) = (value for value in sweep.values if typed(value) == best)
    words = ["python", "-m", "torchrl_drigm", "train", sweep.config, *sweep.fixed]
    words.append(f"{sweep.field}={chosen}")
    if sweep.config_dir is not None:
        words.append(f"--config-dir={sweep.config_dir}")
    return shlex.join(words)
