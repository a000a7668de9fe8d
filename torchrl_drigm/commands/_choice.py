"""A field's value, chosen: trained, judged in shifts of validation, and written down."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from omegaconf import DictConfig, OmegaConf
from torchrl import logger as torchrl_logger

from torchrl_drigm._files import atomic_path
from torchrl_drigm._source import commit, installed_version
from torchrl_drigm.commands._runs import train_runs
from torchrl_drigm.commands._sweeps import Sweep, claim_sweep, typed
from torchrl_drigm.commands._validation import VALIDATION, read_validation
from torchrl_drigm.evaluation.below import without_update
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
from torchrl_drigm.tasks.suites import Shift
from torchrl_drigm.trainers import load_team
from torchrl_drigm.trainers.builders import make_uncertainty

__all__ = ["choose"]


def choose(arguments: argparse.Namespace, sweep: Sweep, folder: Path) -> None:
    """Train, judge, choose and write it down.

    Args:
        arguments (Namespace): of the command, which has checked them.
        sweep (Sweep): what is swept.
        folder (Path): of the sweep.
    """
    torchrl_logger.setLevel("WARNING")
    runs = sweep.runs(folder)
    modules = [module for _, cfg in runs.values() for module in own_modules(cfg)]
    modules = dict.fromkeys([*arguments.modules, *modules])
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
    for note in dict.fromkeys(filter(None, (without_update(run) for run, _ in runs.values()))):
        print(note)
    best = best_value(scores)
    print(f"Chosen: {sweep.field}={best}, by the {SCORES[arguments.score]}.")
    numeric = all(isinstance(value, int | float) for value in scores.index.tolist())
    if numeric and best in (min(scores.index), max(scores.index)):
        print("It is the smallest or the largest of the values: one beyond it may be better.")
    print("It is trained with", f"  {_command(sweep, best)}", sep="\n")
    print("\nWritten:", *(f"  {file}" for file in files), sep="\n")


def _validation(composed: Sequence[DictConfig], validate: str) -> tuple[str, list[Shift]]:
    """The shifts to choose in, if none of them is tested in by a suite of task or config."""
    for cfg in composed:
        task = make_task(cfg)
        suite, shifts = read_validation(task, validate)
        refuse_test_shifts(task, suite, shifts, _tested(cfg, task))
        task.check_shifts(suite, shifts)
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
