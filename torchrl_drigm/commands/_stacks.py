"""Runs that are trained at once, each in its folder, and one table of all."""

from __future__ import annotations

import io
import time
import warnings
from collections.abc import Sequence
from contextlib import ExitStack, redirect_stdout
from pathlib import Path

import pandas as pd
import torch
from omegaconf import DictConfig, OmegaConf

from torchrl_drigm._times import Pace, about
from torchrl_drigm.commands._members import StackError, members_of, stack_overrides
from torchrl_drigm.commands._runs import forget_results, judge
from torchrl_drigm.evaluation.files import results_of
from torchrl_drigm.evaluation.report import evaluate_all, stack_table
from torchrl_drigm.trainers import Run, build, claim_run, is_done, prepare
from torchrl_drigm.trainers.stack import Stack, check_environment, check_memory

__all__ = ["members_of", "stack_overrides", "train_stack"]


def train_stack(cfg: DictConfig, folder: str | Path) -> None:
    """Train and judge the runs of a stack, each in its folder below ``folder``.

    Runs that have their results stay as they are, and those that were stopped go on.

    Args:
        cfg (DictConfig): the composed config, see :func:`members_of`.
        folder (str or Path): of the stack.

    Raises:
        ValueError: as :func:`members_of` does.
        StackError: for what does not fit into memory, and after the others have ended, if runs
            diverged.
    """
    prepare(cfg)
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
            with warnings.catch_warnings():
                if runs:  # the first one has said so
                    warnings.filterwarnings("ignore", "compile=true: ")
                runs.append(build(quiet, run_dir, resume))
            runs[-1].cfg = member
            states.append(torch.get_rng_state())
            if len(runs) == 1:
                check_environment(member, runs[0].env)
                try:
                    check_memory(runs[0], len(members))
                except ValueError as error:
                    raise StackError(str(error)) from error
        references = None
        for some in _of_equal_length(runs):
            stack = Stack([runs[i] for i in some], [states[i] for i in some])
            for run in stack.runs:
                forget_results(run)
            stack.train(_Progress(stack, cfg.progress_bar))
            errors |= {stack.runs[i].run_dir: error for i, error in stack.errors.items()}
            for run in stack.runs:
                if run.run_dir not in errors:
                    references = _judge(run, references)
    seconds = time.perf_counter() - start
    stack_table(folder, members, [place for place in members if place not in errors])
    print(f"\n{_runs(len(runs))} in {about(seconds)}. Left in {folder}, a folder for each run.")
    if errors:
        told = "; ".join(f"{place}: {error}" for place, error in errors.items())
        raise StackError(f"{len(errors)} of {len(members)} runs diverged. {told}")


def _runs(number: int) -> str:
    return f"{number} run{'s' if number != 1 else ''}"


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
        loop = stack.cfg.collector
        self.pace = Pace(stack.frames, loop.total_frames, loop.init_random_frames)
        self.last = time.monotonic()
        if wanted and stack.frames:
            total = stack.cfg.collector.total_frames
            print(f"resuming at step {stack.frames:,} of {total:,}", flush=True)

    def __call__(self, frames: int) -> None:
        total, now = self.stack.cfg.collector.total_frames, time.monotonic()
        speed, left = self.pace.at(frames)
        if not self.wanted or (now - self.last < 10.0 and frames < total):
            return
        self.last = now
        n_runs = len(self.stack.runs)
        of_runs = f"each of {n_runs} runs" if n_runs > 1 else "1 run"
        told = f"{frames:,} of {total:,} steps of {of_runs}, {n_runs * speed:,.0f} steps/s in all"
        print(told if left is None else f"{told}, about {about(left)} left", flush=True)
