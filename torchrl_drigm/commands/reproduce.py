"""The paper's tables and figures, trained, played and judged by one command."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.errors import HydraException

from torchrl_drigm._files import check_place
from torchrl_drigm._times import about
from torchrl_drigm.commands._checks import check_at_least, check_out
from torchrl_drigm.commands._manifest import check_manifest
from torchrl_drigm.commands._paper_plan import BATTLES, Job, plan, plan_battles
from torchrl_drigm.commands._planned_fields import check_fields
from torchrl_drigm.evaluation.files import results_of
from torchrl_drigm.trainers.released_folder import find_released
from torchrl_drigm.trainers.runs import is_done

if TYPE_CHECKING:
    from torchrl_drigm.commands._published import PublishedTeam
    from torchrl_drigm.commands._reproduction import Played

__all__ = ["HELP", "add_arguments", "main"]

BUILDINGS = "buildings"
PACKAGES = {BUILDINGS: ("sustaingym",), BATTLES: ("jaxmarl", "jax")}  # of Task.packages
Call = Callable[[], list[str]]  # says what went wrong

HELP = "train and judge what the paper's tables and figures show"

PROTOCOLS = ("paper", "strict")  # as the paper's numbers were made, and as its text says
#: Suites that each part is played in; of those that end in a protocol, the wanted ones.
PARTS: dict[str, tuple[str, ...]] = {
    "climate": ("climate",),  # Figure 2
    "season": ("season_paper", "season_strict"),  # Table 1
    "climate_season": ("climate_season_paper", "climate_season_strict"),  # Table 2
    "climate16": ("climate16",),
    "physics": ("physics",),
    "sensor": ("sensor",),
    "actuator": ("actuator",),
    BATTLES: ("noise_strength", "hard_enemies"),  # Figures 3 and 4, and a shift of the game's
}
PAPER_PARTS = ("climate", "season", "climate_season")
PRESETS = ("fast", "paper", "released")
MIXERS = ("vdn", "qmix", "qtran")
SETS = ("none", "contamination", "tv", "cvar", "group_dr")
BATTLE_SETS = ("none", "contamination", "tv", "cvar")
# Milliseconds of one core that a step took on a 2-core Intel Xeon, in stacks of what can be in one
MS = {"fast": 0.15, "fast qtran": 1.06, "paper": 9.3, "released": 9.3, BATTLES: 1.5}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of this command."""
    parser.description = (
        "Figure 2 and Tables 1 and 2 of the paper, or other parts: trains what is missing, in "
        "stacks of seeds, plays every team in the part's suites, and leaves CSV, Markdown and "
        "pictures in OUT/results, with the paper's own numbers, policies that do not learn, and "
        "the controls beside ours. Stopped anywhere it goes on when it is started again. Parts: "
        "climate (Figure 2), season (Table 1), climate_season (Table 2); climate16, physics, "
        "sensor and actuator, which the paper does not have; battles (Figures 3 and 4, on SMAX)."
    )
    parser.add_argument(
        "--part", nargs="+", choices=PARTS, default=PAPER_PARTS, metavar="PART",
        help=f"of {', '.join(PARTS)} ({' '.join(PAPER_PARTS)})",
    )  # fmt: skip
    parser.add_argument(
        "--protocol", choices=PROTOCOLS,
        help="of the seasons: paper (days 400 to 599, wrapped into the year as they were played) "
        "or strict (days 200 to 364, never trained on); both by default",
    )  # fmt: skip
    parser.add_argument("--preset", choices=PRESETS, default="fast", help="of all runs (fast)")
    parser.add_argument("--seeds", type=int, default=5, help="runs of each algorithm (5)")
    parser.add_argument(
        "--mixers", nargs="+", choices=MIXERS, default=MIXERS, metavar="MIXER",
        help=f"of {', '.join(MIXERS)} (all)",
    )  # fmt: skip
    parser.add_argument(
        "--sets", nargs="+", choices=SETS, default=SETS, metavar="SET",
        help=f"of {', '.join(SETS)} (all; of battles all but group_dr)",
    )  # fmt: skip
    parser.add_argument(
        "--no-controls", action="store_true",
        help="leave out nominal runs with the discounts γ(1-ρ) and 0.95, 0.9, 0.7 and 0.5 of γ",
    )  # fmt: skip
    parser.add_argument("--episodes", type=int, default=50, help="days in each shift (50)")
    parser.add_argument(
        "--out", type=Path,
        help="folder of it all (runs/reproduce/PRESET, of battles alone runs/reproduce/battles)",
    )  # fmt: skip
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="processes, of one thread (all cores)"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="FIELD=VALUE", dest="fields",
        help="a further field of all runs that have it, such as compile=true or "
        "uncertainty.rho=0.1; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--published", type=Path, metavar="FOLDER",
        help="with the networks that the paper's authors published, at any depth: rows of the "
        "building parts' tables; with --seeds 0 they alone",
    )  # fmt: skip
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and stop")


def main(arguments: argparse.Namespace) -> None:
    """Plan, train, play, report."""
    for name in ("part", "mixers", "sets"):
        setattr(arguments, name, list(dict.fromkeys(getattr(arguments, name))))
    only_battles = set(arguments.part) == {BATTLES}  # whose fields are others, and preset one
    name = BATTLES if only_battles else arguments.preset
    out = arguments.out or Path("runs") / "reproduce" / name
    settings = {} if only_battles or not arguments.seeds else {"preset": arguments.preset}
    settings |= {"fields": arguments.fields} if arguments.seeds else {}
    settings |= {"episodes": arguments.episodes}
    kinds = {BATTLES if part == BATTLES else BUILDINGS for part in arguments.part}
    packages = [package for kind in sorted(kinds) for package in PACKAGES[kind]]
    try:
        _check(arguments, out)
        check_manifest(out, settings, packages, write=False)
        # what follows imports PyTorch
        work, published = _work(arguments, out), _published(arguments, out)
        _announce(work, published, arguments, out)
    except HydraException as error:
        raise ValueError(f"--set: {error.__cause__ or error}".splitlines()[0]) from error
    if arguments.dry_run:
        return
    check_manifest(out, settings, packages, write=True)
    _run(arguments, out, work, published)


def _check(arguments: argparse.Namespace, out: Path) -> None:
    """Refuse what is asked for, as far as that does not need PyTorch."""
    only_battles = set(arguments.part) == {BATTLES}
    # published networks alone need no runs
    check_at_least("--seeds", arguments.seeds, 1 if arguments.published is None else 0)
    check_at_least("--episodes", arguments.episodes, 1)
    check_at_least("--jobs", arguments.jobs, 1)
    check_out(arguments.out)
    if arguments.out is None and not arguments.dry_run:
        check_place(f"{out}", out)
    seasons = [part for part in PARTS if any(s.endswith(PROTOCOLS) for s in PARTS[part])]
    if arguments.protocol is not None and not set(seasons) & set(arguments.part):
        found = f"--part {' '.join(arguments.part)}"
        raise ValueError(f"--protocol is of the parts {' and '.join(seasons)}, found {found}.")
    if arguments.published is not None:
        find_released(arguments.published)
        if only_battles:
            raise ValueError("--published: the networks are of buildings, and --part of battles.")
    mixers, sets = _of_battles(arguments)
    if not arguments.seeds:
        if BATTLES in arguments.part:
            raise ValueError("--part battles: --seeds 0 plays published networks, of buildings.")
        if arguments.fields:
            raise ValueError(
                f"--set {arguments.fields[0]}: --seeds 0 trains nothing that could have it."
            )
        return
    if not only_battles:
        preset = [f"preset={arguments.preset}"]
        check_fields(arguments.fields, "building", arguments.mixers, arguments.sets, preset)
    if BATTLES in arguments.part and not (mixers and sets):
        raise ValueError("nothing is left to train: battles have no qtran and no group_dr.")
    if BATTLES in arguments.part:
        for field in arguments.fields:
            if field.lstrip("+").startswith("logger=") and not field.endswith("=csv"):
                raise ValueError(f"--set {field}: win rates of battles are read from logger=csv.")
        check_fields(arguments.fields, BATTLES, mixers, sets)


def _run(
    arguments: argparse.Namespace,
    out: Path,
    work: Sequence[tuple[Job, Played]],
    published: Sequence[tuple[PublishedTeam, Played]],
) -> None:
    """Train, play, report."""
    from torchrl_drigm.commands._comparison import win_rates
    from torchrl_drigm.commands._reproduction import run_job
    from torchrl_drigm.evaluation.published import report_published
    from torchrl_drigm.evaluation.reproduction import report_suite

    calls = [(job.label, partial(run_job, job, played)) for job, played in work]
    for team, played in published:
        play = partial(team.play, out / "published", played)
        calls.append((f"{team.label}, seed {team.seed}", play))
    wrong = _do(calls, arguments.jobs, tuple(arguments.modules))
    if wrong:
        print("\nDiverged, and in no table:", *wrong, sep="\n  ", file=sys.stderr)
    files, command = [], _command(arguments)
    if others := _earlier(out, work):
        command += f"\n# {others} runs below are of earlier commands in the same folder"
    for suite in _suites([p for p in arguments.part if p != BATTLES], arguments.protocol):
        if arguments.seeds == 0:
            files += report_published(out / "published", suite, out / "results", command)
        else:
            runs, title = out / "buildings", f"preset={arguments.preset}: {suite}"
            told = title, command
            files += report_suite(runs, suite, out / "results", out / "published", *told)
    if any(job.config == BATTLES for job, _ in work):
        for suite in PARTS[BATTLES]:
            told = f"{BATTLES}: {suite}", command
            files += report_suite(out / BATTLES, suite, out / "results", None, *told)
        win_rates([out / BATTLES], out / "results", last=10)
    print("\nWritten:", *(f"  {file}" for file in files), sep="\n")
    if wrong:
        raise SystemExit(1)


def _earlier(out: Path, work: Sequence[tuple[Job, Played]]) -> int:
    """How many runs of the folder, which all are in its tables, are none of this plan."""
    own = {folder for job, _ in work for folder in job.members()}
    configs = {BATTLES if job.config == BATTLES else BUILDINGS for job, _ in work}
    found = {file.parent for kind in configs for file in (out / kind).glob("*/*/config.yaml")}
    return len(found - own)


def _command(arguments: argparse.Namespace) -> str:
    """What makes these results, whatever a default becomes."""
    chosen = {"part": arguments.part, "mixers": arguments.mixers, "sets": arguments.sets}
    words = ["reproduce", "--preset", arguments.preset]
    if set(arguments.part) == {BATTLES}:  # which have one preset
        chosen["mixers"], chosen["sets"] = _of_battles(arguments)
        words = ["reproduce"]
    for name, values in chosen.items() if arguments.seeds else [("part", arguments.part)]:
        words += [f"--{name}", *values]
    for name in ("protocol", "seeds", "episodes", "published"):
        if (value := getattr(arguments, name)) is not None:
            words += [f"--{name}", "FOLDER" if name == "published" else str(value)]
    words += ["--no-controls"] if arguments.no_controls else []
    for field in arguments.fields:
        words += ["--set", field]
    return f"python -m torchrl_drigm {shlex.join(words)}"


def _suites(parts: Sequence[str], protocol: str | None) -> list[str]:
    """Suites of the parts, in the order in which they are there.

    Examples:
        >>> _suites(["climate", "season"], None), _suites(["season"], "strict")
        (['climate', 'season_paper', 'season_strict'], ['season_strict'])
    """
    others = tuple(f"_{other}" for other in PROTOCOLS if protocol not in (None, other))
    return [s for part in dict.fromkeys(parts) for s in PARTS[part] if not s.endswith(others)]


def _of_battles(arguments: argparse.Namespace) -> tuple[list[str], list[str]]:
    """Mixers and sets of battles, as in the paper."""
    mixers = [mixer for mixer in arguments.mixers if mixer != "qtran"]
    return mixers, [kind for kind in arguments.sets if kind in BATTLE_SETS]


def _work(arguments: argparse.Namespace, out: Path) -> list[tuple[Job, Played]]:
    from torchrl_drigm.commands._reproduction import Played

    suites = _suites([p for p in arguments.part if p != BATTLES], arguments.protocol)
    seeds, work = range(arguments.seeds), []
    if not seeds:
        return work
    if suites:
        jobs = plan(
            out / "buildings",
            arguments.preset,
            arguments.mixers,
            arguments.sets,
            seeds,
            controls=not arguments.no_controls,
            extra=[f"evaluation.episodes={arguments.episodes}", *arguments.fields],
        )
        work += [(job, Played(tuple(suites), arguments.episodes)) for job in jobs]
    if BATTLES in arguments.part:
        jobs = plan_battles(
            out / BATTLES,
            *_of_battles(arguments),
            seeds,
            arguments.fields,
        )
        work += [(job, Played(PARTS[BATTLES], arguments.episodes)) for job in jobs]
    return work


def _published(arguments: argparse.Namespace, out: Path) -> list[tuple[PublishedTeam, Played]]:
    """Published networks, and where they are to play."""
    if arguments.published is None:
        return []
    from torchrl_drigm.commands._published import check_elsewhere, find_published
    from torchrl_drigm.commands._reproduction import Played

    suites = _suites([p for p in arguments.part if p != BATTLES], arguments.protocol)
    played = Played(tuple(suites), arguments.episodes)
    teams = find_published(arguments.published)
    check_elsewhere(teams, out / "published")
    return [(team, played) for team in teams]


def _announce(
    work: Sequence[tuple[Job, Played]],
    published: Sequence[tuple[PublishedTeam, Played]],
    arguments: argparse.Namespace,
    out: Path,
) -> None:
    from torchrl_drigm.commands._reproduction import check_results

    for team, played in published:
        waiting = team.waiting(out / "published", played)
        if arguments.dry_run:
            print(
                f"{team.label:28s} seed {team.seed}: {len(waiting)} suites to play  {team.folder}"
            )
    n_runs, n_jobs, seconds = 0, 0, 0.0
    for job, played in work:
        members = job.members()
        check_results(members, played)  # of all, before anything is trained
        left = [cfg for place, cfg in members.items() if not is_done(cfg, place, results_of(cfg))]
        if arguments.dry_run:
            print(f"{job.label:28s} {len(left):3d} of {len(members)} runs to train  {job.folder}")
        n_runs += len(left)
        n_jobs += bool(left)
        kind = BATTLES if job.config == BATTLES else arguments.preset
        mixer = job.label.split()[0]
        steps = sum(cfg.collector.total_frames for cfg in left)
        seconds += steps * MS.get(f"{kind} {mixer}", MS[kind]) / 1000
    seconds /= max(1, min(arguments.jobs, n_jobs))
    print(
        f"{n_runs} runs to train in {len(work)} jobs, {arguments.jobs} at a time: about "
        f"{about(seconds)}, by what such runs took on a 2-core Xeon. In {out}.",
        flush=True,
    )


def _do(calls: Sequence[tuple[str, Call]], jobs: int, modules: tuple[str, ...]) -> list[str]:
    from torchrl_drigm.commands._processes import one_by_one

    start, wrong = time.perf_counter(), []
    for number, (label, told) in enumerate(one_by_one(calls, jobs, modules), 1):
        wrong += told
        passed = time.perf_counter() - start
        left = passed / number * (len(calls) - number)
        more = f", about {about(left)} left" if number < len(calls) else ""
        print(f"{number} of {len(calls)}: {label}, {about(passed)} so far{more}.", flush=True)
    return wrong
