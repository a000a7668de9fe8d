"""Runs in their folders: one, or many of which those are left alone that are done."""

from __future__ import annotations

import io
import time
from collections.abc import Iterable, Mapping
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path

import pandas as pd
from omegaconf import DictConfig, OmegaConf

from torchrl_drigm._times import about
from torchrl_drigm.commands._processes import one_by_one
from torchrl_drigm.evaluation.compare import evaluation_file
from torchrl_drigm.evaluation.files import WIN_RATES, results_of
from torchrl_drigm.evaluation.methods import name_of
from torchrl_drigm.evaluation.report import (
    evaluate_all,
    report_returns,
    report_win_rates,
    training_curve,
)
from torchrl_drigm.trainers import Run, build, claim_run, is_done, locate_run, prepare

__all__ = ["forget_results", "judge", "train_run", "train_runs"]


def train_run(cfg: DictConfig, run_dir: str | Path) -> None:
    """Train and judge in a folder that no other run writes into, unless its results are there.

    Args:
        cfg (DictConfig): the composed config, or that of a run's folder.
        run_dir (str or Path): folder of the run; one that was stopped there goes on.
    """
    prepare(cfg)
    results = results_of(cfg)
    with claim_run(cfg, run_dir) as (run_dir, resume):
        if is_done(cfg, run_dir, results):  # a sweep again
            print(f"{run_dir} has its results already.")
        else:
            _train_and_judge(cfg, run_dir, resume, results)


def _train_and_judge(cfg: DictConfig, run_dir: Path, resume: Path | None, results: str) -> None:
    start = time.perf_counter()
    run = build(cfg, run_dir, resume)
    forget_results(run)
    run.train()
    trained = time.perf_counter()
    files = report_win_rates(cfg, run_dir) if results == WIN_RATES else judge(run)
    print(f"\nTrained in {trained - start:.0f} s, in all {time.perf_counter() - start:.0f} s.")
    print(f"Left in {run_dir}:", *(f"  {file}" for file in files), sep="\n")


def forget_results(run: Run) -> None:
    """Remove the results of a run that is judged anew; if it trains on, those of other suites too.

    They would be taken for those of the team that it becomes.
    """
    files = [run.run_dir / results_of(run.cfg)]
    if run.trainer.collected_frames < run.cfg.collector.total_frames:
        files += sorted(run.run_dir.glob(evaluation_file("*")))
    for file in files:
        if file.exists():
            print(f"{file} goes: it is of fewer steps, or of another evaluation.", flush=True)
            file.unlink()


def judge(run: Run, references: pd.DataFrame | None = None) -> list[Path]:
    """Play a trained team, print its table, and leave results and pictures in its folder.

    Args:
        run (Run): the run.
        references (DataFrame, optional): what reference policies played in the same episodes, as
            :func:`~torchrl_drigm.evaluation.report.evaluate_all` gives it. Default: they play.
    """
    cfg, name, test = run.cfg, name_of(run.cfg), run.cfg.evaluation
    policies = {name: run.team}
    if references is None:
        policies |= {label: make() for label, make in run.task.references.items()}
    played = evaluate_all(policies, run.task, test.suite, episodes=test.episodes, seed=test.seed)
    if references is not None and len(references):
        played = pd.concat([played, references], ignore_index=True)
    files = report_returns(played, run.run_dir, name)
    return [*files, *training_curve(cfg, run.run_dir, run.trainer.collected_frames)]


def train_runs(
    runs: Mapping[Path, DictConfig],
    jobs: int = 1,
    modules: Iterable[str] = (),
    seconds: float | None = None,
) -> None:
    """Train and judge several runs, each in its folder, without their tables.

    What is done stays as it is, and what was stopped goes on. Nothing is trained before it is clear
    that every folder is free, or that run's own.

    Args:
        runs (mapping): configs by folder.
        jobs (int): processes; 1 is this one.
        modules (iterable of str): what those processes import.
        seconds (float, optional): that one run takes, if it is known beforehand.

    Raises:
        ValueError: if ``jobs`` is below 1, or a folder is that of another run.
    """
    if jobs < 1:
        raise ValueError(f"jobs={jobs} must be at least 1: runs at a time.")
    for folder, cfg in runs.items():
        locate_run(cfg, folder)
    waiting = {f: cfg for f, cfg in runs.items() if not is_done(cfg, f, results_of(cfg))}
    if not waiting:
        print(f"0 runs to train; {len(runs)} done already.", flush=True)
        return
    done = len(runs) - len(waiting)
    rounds = -(-len(waiting) // jobs)
    known = f", about {about(rounds * seconds)}" if seconds else ""
    one_or_more = "run" if len(waiting) == 1 else "runs"
    print(f"{len(waiting)} {one_or_more} to train{known}; {done} done already.", flush=True)
    start = time.perf_counter()
    # bars of several processes would overwrite each other
    bars = {} if jobs == 1 else {"progress_bar": False}
    calls = [
        (folder, partial(_train_quietly, OmegaConf.to_yaml(OmegaConf.merge(cfg, bars)), folder))
        for folder, cfg in waiting.items()
    ]
    for number, (folder, _) in enumerate(one_by_one(calls, jobs, tuple(modules)), 1):
        passed = time.perf_counter() - start
        left = passed / number * (len(waiting) - number)
        more = f", about {about(left)} left" if number < len(waiting) else ""
        print(f"{number} of {len(waiting)}: {folder}, {about(passed)} so far{more}.", flush=True)


def _train_quietly(config: str, folder: Path) -> None:
    """Progress goes to the standard error, and stays."""
    with redirect_stdout(io.StringIO()):
        train_run(OmegaConf.create(config), folder)
