"""Training and playing what the paper's tables show, one job at a time."""

from __future__ import annotations

import functools
import io
import sys
import time
from collections.abc import Collection, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TextIO

import numpy as np
import pandas as pd
import torch
from omegaconf import DictConfig

from torchrl_drigm.commands._members import StackError
from torchrl_drigm.commands._paper_plan import Job
from torchrl_drigm.commands._runs import train_run
from torchrl_drigm.commands._stacks import train_stack
from torchrl_drigm.evaluation.compare import evaluation_file
from torchrl_drigm.evaluation.files import results_of, save_results
from torchrl_drigm.evaluation.methods import name_of
from torchrl_drigm.evaluation.report import evaluate_all
from torchrl_drigm.tasks import Task, make_task
from torchrl_drigm.tasks.version import environment_version
from torchrl_drigm.trainers import is_done, load_team, locate_run

__all__ = ["TEST_SEED", "WAY", "Played", "check_results", "is_played", "play_run", "run_job"]

TEST_SEED = 11
WAY = "Move it away, or name another folder with --out; nothing was changed."


@dataclass(frozen=True)
class Played:
    """What trained teams are played in: suites, and episodes of each of their shifts."""

    suites: tuple[str, ...]
    episodes: int


def run_job(job: Job, played: Played) -> list[str]:
    """Train what is missing of a job, play what has not been played, in one thread.

    Args:
        job (Job): the job.
        played (Played): where to play.

    Returns:
        list: what went wrong, a line for each run that diverged.

    Raises:
        ValueError: for results that are there and are torn, or of another version of the
            environment or number of episodes; nothing is overwritten.
    """
    torch.set_num_threads(1)
    wrong = []
    members = job.members()
    check_results(members, played)
    with redirect_stdout(_Now(job.label)), redirect_stderr(_Now(job.label, rest=sys.stderr)):
        if job.is_stack:
            try:
                train_stack(job.composed(), job.folder)
            except StackError as error:
                if "diverged" not in str(error):
                    raise
                wrong.append(str(error))
        else:
            for folder, cfg in members.items():
                try:
                    train_run(cfg, folder)
                except ValueError as error:
                    if "not finite" not in str(error):
                        raise
                    wrong.append(f"{folder}: {error}")
        for folder, cfg in members.items():
            if is_done(cfg, folder, results_of(cfg)):  # not what diverged
                play_run(folder, cfg, played)
    return wrong


def check_results(members: Mapping[Path, DictConfig], played: Played) -> None:
    """Refuse, before anything is trained, what will not fit.

    Raises:
        ValueError: for a folder that is that of another run, or results that are torn, or of
            another version of the environment or number of episodes.
    """
    for folder, cfg in members.items():
        locate_run(cfg, folder)
        task = make_task(cfg)
        for suite in played.suites:
            is_played(result_file(folder, cfg, suite), played.episodes, task, suite)


class _Now(io.TextIOBase):
    """Of what runs print, how far they have come: a line a minute, on the standard error.

    Args:
        label (str): what each line begins with.
        rest (TextIO, optional): where all else goes. Default: nowhere.
    """

    EVERY = 60.0  # seconds

    def __init__(self, label: str, rest: TextIO | None = None) -> None:
        self.label = label
        self.rest = rest
        self.last = time.monotonic()
        self._to = sys.stderr
        self._in_line = False  # whether the end of a line of progress is still to come

    def write(self, text: str) -> int:
        if "steps/s" in text:
            self._in_line = not text.endswith("\n")
            if "left" in text and time.monotonic() - self.last >= self.EVERY:
                self.last = time.monotonic()
                print(f"  {self.label}: {text.strip()}", file=self._to, flush=True)
        elif self._in_line and text == "\n":
            self._in_line = False
        elif self.rest is not None:
            self.rest.write(text)
        return len(text)

    def flush(self) -> None:
        if self.rest is not None:
            self.rest.flush()


def result_file(folder: Path, cfg: DictConfig, suite: str) -> Path:
    """Where a run has its results of a suite: of its own, those that it ends with."""
    own = cfg.evaluation.get("suite") == suite
    return folder / evaluation_file(None if own else suite)


def play_run(folder: Path, cfg: DictConfig, played: Played) -> None:
    """Play the team of a run in the suites that it has no results of; references beside it."""
    files = {suite: result_file(folder, cfg, suite) for suite in played.suites}
    task = make_task(cfg)
    waiting = {s: f for s, f in files.items() if not is_played(f, played.episodes, task, s)}
    if not waiting:
        return
    team = load_team(folder)
    for suite, file in waiting.items():
        own = evaluate_all(
            {name_of(team.cfg): team},
            team.task,
            suite,
            episodes=played.episodes,
            seed=TEST_SEED,
        )
        rows = pd.concat([own, _references(suite, played.episodes, _Task(team.task))])
        rows["environment"] = environment_version(task.packages)
        save_results(rows, file)


def is_played(
    file: Path,
    episodes: int,
    task: Task | type[Task],
    suite: str,
    references: Collection[str] | None = None,
) -> bool:
    """Whether a file has whole results.

    Args:
        file (Path): the file.
        episodes (int): of each shift.
        task (Task, or its class): what was played.
        suite (str): name of one of its suites, every shift of which has to be there.
        references (collection of str): policies that have to be there beside the first. Default:
            those of the task that do not learn.

    Raises:
        ValueError: for a file that is torn, or of another version of the environment or number of
            episodes.
    """
    if not file.exists():
        return False
    try:
        if not file.read_text(encoding="utf-8").endswith("\n"):
            raise ValueError("its last line has no end")
        rows = pd.read_csv(file)
    except ValueError as error:  # pandas' own and those of an encoding are such
        raise ValueError(f"{file} is torn ({error}). {WAY}") from error
    missing = [c for c in ("policy", "shift", "return", "environment") if c not in rows]
    if missing or rows.empty:
        raise ValueError(f"{file} lacks {missing or 'rows'}: it is no result of this. {WAY}")
    if rows[["policy", "shift", "return"]].isna().any(axis=None):
        raise ValueError(f"{file} has empty cells. {WAY}")
    if not np.isfinite(pd.to_numeric(rows["return"], errors="coerce")).all():
        raise ValueError(f"{file} has returns that are no finite numbers. {WAY}")
    version = environment_version(task.packages)
    versions = set(rows["environment"].astype(str)) - {version}
    if versions:
        raise ValueError(
            f"{file} was played in another version of the environment, {versions.pop()!r}; this is "
            f"{version!r}. {WAY}"
        )
    counts = rows.groupby(["policy", "shift"]).size()
    # a file that was cut at the end of a line is no shorter anywhere: it lacks shifts, or policies
    beside = task.references if references is None else references
    policies = dict.fromkeys([*rows["policy"], *beside])
    shifts = dict.fromkeys([*(shift["name"] for shift in task.suites[suite]), *rows["shift"]])
    for policy, shift in product(policies, shifts):
        n = counts.get((policy, shift), 0)
        if n == episodes:
            continue
        raise ValueError(
            f"{file} has {n} episodes of {policy!r} in {shift!r}, and {episodes} were asked for. "
            f"{WAY}"
        )
    return True


class _Task:
    """A task as a key: all runs of one command have the same."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self.key = type(task).__name__, getattr(task, "n_action_levels", None)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Task) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


@functools.lru_cache(maxsize=32)
def _references(suite: str, episodes: int, task: _Task) -> pd.DataFrame:
    """What policies without learning play: once in a process."""
    policies = {label: make() for label, make in task.task.references.items()}
    if not policies:
        return pd.DataFrame()
    return evaluate_all(policies, task.task, suite, episodes=episodes, seed=TEST_SEED)
