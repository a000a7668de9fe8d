"""Training and playing what the paper's tables show, one job at a time."""

from __future__ import annotations

import functools
import io
import sys
import time
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TextIO

import pandas as pd
import torch
from omegaconf import DictConfig

from torchrl_drigm.commands._members import StackError
from torchrl_drigm.commands._paper_plan import Job
from torchrl_drigm.commands._played import TEST_SEED, WAY, Played, is_played, result_file
from torchrl_drigm.commands._runs import train_run
from torchrl_drigm.commands._stacks import train_stack
from torchrl_drigm.evaluation.files import results_of, save_results
from torchrl_drigm.evaluation.methods import name_of
from torchrl_drigm.evaluation.report import evaluate_all
from torchrl_drigm.tasks import Task, make_task
from torchrl_drigm.tasks.version import environment_version
from torchrl_drigm.trainers import is_done, load_team, locate_run
from torchrl_drigm.trainers.checkpoint_place import CONFIG

__all__ = ["check_results", "play_run", "run_job"]


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


def check_results(
    members: Mapping[Path, DictConfig], played: Played
) -> list[tuple[Path, str, Path]]:
    """What runs have not played, refusing, before anything is trained, what will not fit.

    Returns:
        list: folder, suite, and the file that is not there.

    Raises:
        ValueError: for a folder that is that of another run or of nobody knows which, or results
            that are torn, of another policy or suite, or of another version of the environment or
            number of episodes.
    """
    waiting = []
    for folder, cfg in members.items():
        locate_run(cfg, folder)
        task, name = make_task(cfg), name_of(cfg)
        files = {suite: result_file(folder, cfg, suite) for suite in played.suites}
        if not (folder / CONFIG).exists():
            for file in (folder / results_of(cfg), *files.values()):
                if file.exists():
                    raise ValueError(
                        f"{file} has no {CONFIG} beside it: it is not known of which run. {WAY}"
                    )
        for suite, file in files.items():
            if not is_played(file, played.episodes, task, suite, name):
                waiting.append((folder, suite, file))
    return waiting


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


def play_run(folder: Path, cfg: DictConfig, played: Played) -> None:
    """Play the team of a run in the suites that it has no results of; references beside it."""
    waiting = check_results({folder: cfg}, played)
    team = load_team(folder) if waiting else None
    for _, suite, file in waiting:
        own = evaluate_all(
            {name_of(team.cfg): team},
            team.task,
            suite,
            episodes=played.episodes,
            seed=TEST_SEED,
        )
        rows = pd.concat([own, _references(suite, played.episodes, _Task(team.task))])
        rows["environment"] = environment_version(team.task.packages)
        save_results(rows, file)


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
