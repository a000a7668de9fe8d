"""Runs that are trained at once: what is asked for, each in its folder, and one table of all."""

from __future__ import annotations

import io
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, redirect_stdout
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException
from torchrl import logger as torchrl_logger

from torchrl_drigm.commands._runs import about, judge, results_of
from torchrl_drigm.config import check_config
from torchrl_drigm.evaluation.report import evaluate_all, stack_table
from torchrl_drigm.trainers import Run, build, claim_run, is_done
from torchrl_drigm.trainers.stack import (
    STACKABLE,
    Stack,
    check_environment,
    check_members,
    check_memory,
)

__all__ = ["members_of", "stack_overrides", "train_stack"]

_RUNS = "runs"


def stack_overrides(overrides: Sequence[str]) -> list[str]:
    """Overrides in which lists of what may differ in a stack, and ``runs=R``, stand apart.

    Examples:
        >>> stack_overrides(["mixer=vdn", "seed=[0,1,2]", "runs=3", "env.scale=[1,2]"])
        ['mixer=vdn', '+stack.seed=[0,1,2]', '+stack.runs=3', 'env.scale=[1,2]']
    """
    found = []
    for override in overrides:
        name, _, value = override.partition("=")
        apart = name == _RUNS or (name in STACKABLE and value.startswith("["))
        found.append(f"+stack.{override}" if apart else override)
    return found


def members_of(cfg: DictConfig, at_once: bool = True) -> dict[str, DictConfig]:
    """The configs of a stack's runs, by the names of their folders.

    Args:
        cfg (DictConfig): with ``stack``: a list for each field that differs, and ``runs``.
        at_once (bool): whether they are computed at once, and must be of a kind that can be.

    Raises:
        ValueError: for lists of different lengths, fields that the config does not have, values
            that are none, and runs that cannot be computed at once.
    """
    asked = OmegaConf.to_container(cfg.stack, resolve=True)
    n_runs = asked.pop(_RUNS, None)
    if n_runs is not None and (isinstance(n_runs, bool) or not isinstance(n_runs, int)):
        raise ValueError(f"runs={n_runs!r} must be a number of runs.")
    lists = {field: values for field in STACKABLE if (values := _at(asked, field)) is not None}
    lengths = {field: len(values) for field, values in lists.items()}
    if n_runs is not None:
        lengths[_RUNS] = n_runs
    if not lengths:
        raise ValueError("runs=null: give a number of runs, runs=4.")
    if cfg.resume is not None:
        raise ValueError(
            f"resume={cfg.resume} is of a run alone. A stack goes on by itself when it is started "
            "again with its folder: hydra.run.dir=…"
        )
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{field} has {length}" for field, length in lengths.items())
        raise ValueError(
            f"the runs of a stack have one value each of every list: {told}. Write the values out, "
            "one for each run."
        )
    n_runs = next(iter(lengths.values()))
    if n_runs < 1:
        raise ValueError(f"runs={n_runs} must be at least 1.")
    if _RUNS in lengths and "seed" not in lists:
        lists["seed"] = [cfg.seed + run for run in range(n_runs)]
    members = {}
    for run in range(n_runs):
        own = {field: values[run] for field, values in lists.items()}
        name = ",".join(f"{field.rpartition('.')[2]}_{value}" for field, value in own.items())
        members[name or "run"] = _member(cfg, own)
    if len(members) < n_runs:
        raise ValueError(
            f"two runs of the stack are the same, among {lists}: give each its own seed, as "
            "runs=R does, or seed=[0,1,2]."
        )
    if at_once:
        check_members(list(members.values()))
    return members


def _member(cfg: DictConfig, own: Mapping[str, Any]) -> DictConfig:
    member = cfg.copy()
    with open_dict(member):
        del member["stack"]
    for field, value in own.items():
        try:
            OmegaConf.update(member, field, value, force_add=False)
        except OmegaConfBaseException as error:
            raise ValueError(f"{field}={value!r}: {error}".splitlines()[0]) from error
    check_config(member)
    return member


def _at(asked: Mapping[str, Any], field: str) -> list | None:
    for part in field.split("."):
        if not isinstance(asked, Mapping) or part not in asked:
            return None
        asked = asked[part]
    return list(asked) if isinstance(asked, list | ListConfig) else [asked]


def train_stack(cfg: DictConfig, folder: str | Path) -> None:
    """Train and judge the runs of a stack, each in its folder below ``folder``.

    Runs that have their results stay as they are, and those that were stopped go on.

    Args:
        cfg (DictConfig): the composed config, see :func:`members_of`.
        folder (str or Path): of the stack.

    Raises:
        ValueError: as :func:`members_of` does, and for what does not fit into memory.
        RuntimeError: after the others have ended, if runs diverged.
    """
    torchrl_logger.setLevel("WARNING")
    torch.set_num_threads(cfg.threads)
    members = {Path(folder) / name: member for name, member in members_of(cfg).items()}
    start = time.perf_counter()
    errors: dict[Path, Exception] = {}
    with ExitStack() as claims:
        runs, states = [], []
        for place, member in members.items():
            run_dir, resume = claims.enter_context(claim_run(member, place))
            if is_done(member, run_dir, results_of(member)):
                print(f"{run_dir} has its results already.")
                continue
            torch.manual_seed(member.seed)
            quiet = OmegaConf.merge(member, {"progress_bar": False})
            runs.append(build(quiet, run_dir, resume))
            runs[-1].cfg = member
            states.append(torch.get_rng_state())
            if len(runs) == 1:
                check_environment(runs[0])
                check_memory(runs[0], len(members))
        references = None
        for some in _of_equal_length(runs):
            stack = Stack([runs[i] for i in some], [states[i] for i in some])
            stack.train(_Progress(stack, cfg.progress_bar))
            errors |= {stack.runs[i].run_dir: error for i, error in stack.errors.items()}
            for run in stack.runs:
                if run.run_dir not in errors:
                    references = _judge(run, references)
    seconds = time.perf_counter() - start
    stack_table(folder, members, [place for place in members if place not in errors])
    print(f"\n{len(runs)} runs in {about(seconds)}. Left in {folder}, a folder for each run.")
    if errors:
        told = "; ".join(f"{place}: {error}" for place, error in errors.items())
        raise RuntimeError(f"{len(errors)} of {len(members)} runs diverged. {told}")


def _of_equal_length(runs: Sequence[Run]) -> list[list[int]]:
    """Indices of runs that have come as far as each other, as a stopped stack may leave them."""
    lengths = [run.trainer.collected_frames for run in runs]
    return [[i for i, own in enumerate(lengths) if own == n] for n in sorted(set(lengths))]


def _judge(run: Run, references: pd.DataFrame | None) -> pd.DataFrame:
    """Leave the results of a run; what others play in the same episodes is played once."""
    test = run.cfg.evaluation
    if references is None:
        policies = {label: make() for label, make in run.task.references.items()}
        references = pd.DataFrame()
        if policies:
            references = evaluate_all(
                policies, run.task, test.suite, episodes=test.episodes, seed=test.seed
            )
    with redirect_stdout(io.StringIO()):
        judge(run, references)
    return references


class _Progress:
    """Prints now and then how far the runs have come."""

    def __init__(self, stack: Stack, wanted: bool) -> None:
        self.stack = stack
        self.wanted = wanted
        self.first = self.last = (time.monotonic(), stack.frames)

    def __call__(self, frames: int) -> None:
        total, now = self.stack.cfg.collector.total_frames, time.monotonic()
        due = now - self.last[0] >= 10.0 or frames >= total
        if not self.wanted or not due:
            return
        self.last = (now, frames)
        speed = (frames - self.first[1]) / max(now - self.first[0], 1e-9)
        n_runs = len(self.stack.runs)
        print(
            f"{frames:,} of {total:,} steps of each of {n_runs} runs, "
            f"{n_runs * speed:,.0f} steps/s in all, about {about((total - frames) / speed)} left",
            flush=True,
        )
