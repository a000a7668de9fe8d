"""What a reproduction has to do, what else is in its folder, and about how long it takes."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig

from torchrl_drigm._times import about
from torchrl_drigm.commands._paper_parts import (
    BUILDINGS,
    MIXERS,
    PARTS,
    SETS,
    of_battles,
    suites_of,
)
from torchrl_drigm.commands._paper_plan import BATTLES, DISCOUNT, Job, plan, plan_battles
from torchrl_drigm.commands._played import WAY, Played
from torchrl_drigm.commands._published import PublishedTeam, check_elsewhere, find_published
from torchrl_drigm.commands._reproduction import check_results
from torchrl_drigm.evaluation.environments import find_runs
from torchrl_drigm.evaluation.files import results_of
from torchrl_drigm.evaluation.methods import CONTROLS
from torchrl_drigm.tasks import BuildingTask, make_task
from torchrl_drigm.trainers.runs import is_done, locate_run, read_config, read_duration

__all__ = ["Work", "announce", "find_work", "kind_of", "published_teams", "runs_of_others"]

Work = list[tuple[Job, Played]]

# Milliseconds of a core of a 2-core Intel Xeon that a step took, in stacks of what can be in one,
MS = {"fast": 0.15, "fast qtran": 1.06, "paper": 9.3, "released": 9.3, BATTLES: 1.5}
# and seconds of a core of a 2-core AMD EPYC that 50 episodes of a shift took, played at once
SECONDS = {"fast": 0.6, "paper": 1.6, "released": 1.6, BATTLES: 11.0}


def find_work(arguments: argparse.Namespace, out: Path) -> Work:
    """The jobs that were asked for, and where their teams are to play."""
    work: Work = []
    if not arguments.seeds:
        return work
    suites = suites_of(arguments.part, arguments.protocol)
    if suites:
        chosen = arguments.mixers, arguments.sets, range(arguments.seeds)
        jobs = _on_buildings(arguments, out, *chosen, controls=not arguments.no_controls)
        work += [(job, Played(tuple(suites), arguments.episodes)) for job in jobs]
    if BATTLES in arguments.part:
        chosen = of_battles(arguments.mixers, arguments.sets)
        jobs = plan_battles(out / BATTLES, *chosen, range(arguments.seeds), arguments.fields)
        work += [(job, Played(PARTS[BATTLES], arguments.episodes)) for job in jobs]
    return work


def _on_buildings(
    arguments: argparse.Namespace,
    out: Path,
    mixers: Sequence[str],
    sets: Sequence[str],
    seeds: Sequence[int],
    controls: bool,
) -> list[Job]:
    extra = [f"evaluation.episodes={arguments.episodes}", *arguments.fields]
    return plan(out / BUILDINGS, arguments.preset, mixers, sets, seeds, controls, extra)


def kind_of(job: Job) -> str:
    """Folder of a job's runs below that of all."""
    return BATTLES if job.config == BATTLES else BUILDINGS


def published_teams(arguments: argparse.Namespace, out: Path) -> list[tuple[PublishedTeam, Played]]:
    """Published networks, and where they are to play.

    Raises:
        ValueError: for what published networks played, now or earlier, that does not fit.
    """
    suites = suites_of(arguments.part, arguments.protocol)
    played = Played(tuple(suites), arguments.episodes)
    teams = [] if arguments.published is None else find_published(arguments.published)
    if suites:  # of which the tables have what lies there, whoever played it
        check_elsewhere(teams, out / "published", played)
    return [(team, played) for team in teams]


def runs_of_others(out: Path, work: Work) -> list[Path]:
    """Folders of runs that are none of this plan; tables have them too."""
    own = {folder for job, _ in work for folder in job.members()}
    found: list[Path] = []
    for kind in dict.fromkeys(kind_of(job) for job, _ in work):
        try:
            found += [run for run in find_runs(out / kind) if run not in own]
        except FileNotFoundError:
            continue
    return found


def _check_others(arguments: argparse.Namespace, out: Path, work: Work) -> None:
    """Refuse runs beside those of this plan that no command of this folder makes.

    Controls that a robust run has in its own folder are made from its config, and may be there.

    Raises:
        ValueError: naming the run, or its results, and what does not fit.
    """
    others = [run for run in runs_of_others(out, work) if run.parent.name != CONTROLS]
    if not others:
        return
    numbers = [m[1] for run in others if (m := re.fullmatch(r"seed_(\d+)", run.name))]
    seeds = range(1 + max(map(int, numbers), default=0))
    names = {run.parent.name for run in others}  # what is not named need not be planned
    mixers = [mixer for mixer in MIXERS if any(name.startswith(f"{mixer}_") for name in names)]
    controls = any(f"_{DISCOUNT}" in name for name in names)
    sets = [kind for kind in SETS if controls or any(name.endswith(f"_{kind}") for name in names)]
    jobs = _on_buildings(arguments, out, mixers, sets, seeds, controls)
    jobs += plan_battles(out / BATTLES, *of_battles(mixers, sets), seeds, arguments.fields)
    folders = {run.parent for run in others}
    known: dict[Path, DictConfig] = {}
    for job in jobs:
        if job.folder in folders:
            known |= job.members()
    played = {kind_of(job): played for job, played in work}
    for run in others:
        if run not in known:
            raise ValueError(
                f"{run} is no run of this reproduction, and would be in its tables. {WAY}"
            )
        cfg = known[run]
        locate_run(cfg, run)
        check_results({run: cfg}, played[run.relative_to(out).parts[0]])
        steps = cfg.collector.total_frames
        if (there := read_config(run).collector.total_frames) != steps:
            raise ValueError(
                f"{run} is of {there:,} steps, and those of this command are of {steps:,}. {WAY}"
            )


def announce(
    work: Work,
    published: Sequence[tuple[PublishedTeam, Played]],
    arguments: argparse.Namespace,
    out: Path,
) -> None:
    """Say what has to be done, in a dry run of each job, and about how long that takes.

    Raises:
        ValueError: for what is in the folder and does not fit.
    """
    _check_others(arguments, out, work)
    n_runs, n_results, seconds = 0, 0, []
    for team, played in published:
        waiting = team.waiting(out / "published", played)
        shifts = sum(len(BuildingTask.suites[suite]) for suite in waiting)
        seconds.append(shifts * SECONDS["released"])
        n_results += len(waiting)
        if arguments.dry_run:
            told = f"{len(waiting)} suites to play  {team.folder}"
            print(f"{team.label:28s} seed {team.seed}: {told}")
    for job, played in work:
        members = job.members()
        waiting = check_results(members, played)
        left = {f: cfg for f, cfg in members.items() if not is_done(cfg, f, results_of(cfg))}
        n_runs += len(left)
        n_results += len(waiting)
        seconds.append(_seconds(job, arguments.preset, left, waiting))
        if arguments.dry_run:
            told = f"{len(left):3d} of {len(members)} runs to train, {len(waiting)} suites to play"
            print(f"{job.label:28s} {told}  {job.folder}")
    total = max(max(seconds, default=0.0), sum(seconds) / arguments.jobs)
    print(
        f"{n_runs} runs to train in {len(work)} jobs, {arguments.jobs} at a time, and suites to "
        f"play {n_results} times in all: about {about(total)}, by what such took on two cores. "
        f"In {out}.",
        flush=True,
    )


def _seconds(
    job: Job,
    preset: str,
    left: dict[Path, DictConfig],
    waiting: Sequence[tuple[Path, str, Path]],
) -> float:
    """About how long a job takes: the steps that its runs do not have yet, and what they play."""
    kind, mixer = BATTLES if job.config == BATTLES else preset, job.label.split()[0]
    steps = 0
    for folder, cfg in left.items():
        noted = read_duration(folder) if locate_run(cfg, folder)[1] is not None else None
        steps += max(0, cfg.collector.total_frames - int(noted["frames"] if noted else 0))
    suites = make_task(next(iter(job.members().values()))).suites
    shifts = sum(len(suites[suite]) for _, suite, _ in waiting)
    return steps * MS.get(f"{kind} {mixer}", MS[kind]) / 1000 + shifts * SECONDS[kind]
