"""Results of teams that were played in a suite: where they are, and whether they are whole."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from omegaconf import DictConfig

from torchrl_drigm.evaluation.compare import evaluation_file
from torchrl_drigm.tasks import Task
from torchrl_drigm.tasks.version import environment_version

__all__ = ["TEST_SEED", "WAY", "Played", "is_played", "result_file"]

TEST_SEED = 11
WAY = "Move it away, or name another folder with --out; nothing was changed."


@dataclass(frozen=True)
class Played:
    """What trained teams are played in: suites, and episodes of each of their shifts."""

    suites: tuple[str, ...]
    episodes: int


def result_file(folder: Path, cfg: DictConfig, suite: str) -> Path:
    """Where a run has its results of a suite: of its own, those that it ends with."""
    own = cfg.evaluation.get("suite") == suite
    return folder / evaluation_file(None if own else suite)


def is_played(
    file: Path,
    episodes: int,
    task: Task | type[Task],
    suite: str,
    policy: str | None = None,
    references: Collection[str] | None = None,
) -> bool:
    """Whether a file has whole results.

    Args:
        file (Path): the file.
        episodes (int): of each shift.
        task (Task, or its class): what was played.
        suite (str): name of one of its suites, every shift of which has to be there.
        policy (str, optional): the policy that has to be the first. Default: any.
        references (collection of str): policies that have to be there beside the first. Default:
            those of the task that do not learn.

    Raises:
        ValueError: for a file that is torn, or of another policy, suite, version of the environment
            or number of episodes.
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
    for name, value, found in (
        ("policy", policy, rows["policy"].iloc[0]),
        ("suite", suite, next((s for s in rows.get("suite", ()) if s != suite), suite)),
    ):
        if value is not None and found != value:
            raise ValueError(f"{file} is of {name} {found!r}, and not of {value!r}. {WAY}")
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
