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
from torchrl_drigm.commands._checks import check_at_least, check_out, path_of
from torchrl_drigm.commands._manifest import check_manifest
from torchrl_drigm.commands._paper_parts import (
    BUILDINGS,
    MIXERS,
    PACKAGES,
    PAPER_PARTS,
    PARTS,
    PRESETS,
    PROTOCOLS,
    SETS,
    of_battles,
    suites_of,
)
from torchrl_drigm.commands._paper_plan import BATTLES
from torchrl_drigm.commands._planned_fields import check_fields
from torchrl_drigm.trainers.released_folder import find_released

if TYPE_CHECKING:
    from torchrl_drigm.commands._played import Played
    from torchrl_drigm.commands._published import PublishedTeam
    from torchrl_drigm.commands._reproduce_work import Work

__all__ = ["HELP", "add_arguments", "main"]

HELP = "train and judge what the paper's tables and figures show"


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
    parser.add_argument(
        "--preset", choices=PRESETS, help="of all runs on buildings (fast); battles have their own"
    )
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
        "--out", type=path_of,
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
        "--published", type=path_of, metavar="FOLDER",
        help="with the networks that the paper's authors published, at any depth: rows of the "
        "building parts' tables; with --seeds 0 they alone",
    )  # fmt: skip
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and stop")


def main(arguments: argparse.Namespace) -> None:
    """Plan, train, play, report."""
    for name in ("part", "mixers", "sets"):
        setattr(arguments, name, list(dict.fromkeys(getattr(arguments, name))))
    only_battles = set(arguments.part) == {BATTLES}  # whose fields are others, and preset one
    asked, arguments.preset = arguments.preset, arguments.preset or "fast"
    name = BATTLES if only_battles else arguments.preset
    out = arguments.out or Path("runs") / "reproduce" / name
    settings = {} if only_battles or not arguments.seeds else {"preset": arguments.preset}
    settings |= {"fields": arguments.fields} if arguments.seeds else {}
    settings |= {"episodes": arguments.episodes}
    kinds = {BATTLES if part == BATTLES else BUILDINGS for part in arguments.part}
    packages = [package for kind in sorted(kinds) for package in PACKAGES[kind]]
    try:
        if only_battles and asked is not None:
            raise ValueError(f"--preset {asked}: --part battles has one preset, its own.")
        _check(arguments, out)
        check_manifest(out, settings, packages, write=False)
        # which imports PyTorch
        from torchrl_drigm.commands._reproduce_work import announce, find_work, published_teams

        work, published = find_work(arguments, out), published_teams(arguments, out)
        announce(work, published, arguments, out)
    except HydraException as error:
        asked = f"--set {' '.join(arguments.fields)}"
        raise ValueError(f"{asked}: {error.__cause__ or error}".splitlines()[0]) from error
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
    for name in (BUILDINGS, BATTLES, "published", "results"):
        if (out / name).is_file():
            raise ValueError(
                f"{out / name} is a file where a folder is needed. Move it away, or name another "
                "folder with --out."
            )
    seasons = [part for part in PARTS if any(s.endswith(PROTOCOLS) for s in PARTS[part])]
    if arguments.protocol is not None and not set(seasons) & set(arguments.part):
        found = f"--part {' '.join(arguments.part)}"
        raise ValueError(f"--protocol is of the parts {' and '.join(seasons)}, found {found}.")
    if arguments.published is not None:
        find_released(arguments.published)
        if only_battles:
            raise ValueError("--published: the networks are of buildings, and --part of battles.")
    mixers, sets = of_battles(arguments.mixers, arguments.sets)
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
        asked = f"--mixers {' '.join(arguments.mixers)} --sets {' '.join(arguments.sets)}"
        raise ValueError(
            f"--part battles: nothing is left to train of {asked}, as battles have no qtran and no "
            "group_dr. Leave battles out of --part, or name others."
        )
    if BATTLES in arguments.part:
        for field in arguments.fields:
            if field.lstrip("+").startswith("logger=") and not field.endswith("=csv"):
                raise ValueError(f"--set {field}: win rates of battles are read from logger=csv.")
        check_fields(arguments.fields, BATTLES, mixers, sets)


def _run(
    arguments: argparse.Namespace,
    out: Path,
    work: Work,
    published: Sequence[tuple[PublishedTeam, Played]],
) -> None:
    """Train, play, report."""
    from torchrl_drigm.commands._comparison import win_rates
    from torchrl_drigm.commands._reproduce_work import runs_of_others
    from torchrl_drigm.commands._reproduction import run_job
    from torchrl_drigm.evaluation.published import report_published
    from torchrl_drigm.evaluation.reproduction import report_suite

    calls = [(job.label, partial(run_job, job, played)) for job, played in work]
    for team, played in published:
        play = partial(team.play, out / "published", played)
        calls.append((f"{team.label}, seed {team.seed}", play))
    wrong = _do(calls, arguments.jobs, tuple(arguments.modules))
    files, command = [], _command(arguments)
    if others := runs_of_others(out, work):
        command += f"\n# {len(others)} runs below are of earlier commands in the same folder"
    if wrong:
        print("\nDiverged, and in no table:", *wrong, sep="\n  ", file=sys.stderr)
        command += "".join(f"\n# diverged, and in no table: {told}" for told in wrong)
    for suite in suites_of(arguments.part, arguments.protocol):
        if arguments.seeds == 0:
            files += report_published(out / "published", suite, out / "results", command)
        else:
            runs, title = out / BUILDINGS, f"preset={arguments.preset}: {suite}"
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


def _command(arguments: argparse.Namespace) -> str:
    """What makes these results, whatever a default becomes."""
    chosen = {"part": arguments.part, "mixers": arguments.mixers, "sets": arguments.sets}
    words = ["reproduce", "--preset", arguments.preset]
    if set(arguments.part) == {BATTLES}:  # which have one preset
        chosen["mixers"], chosen["sets"] = of_battles(arguments.mixers, arguments.sets)
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


def _do(
    calls: Sequence[tuple[str, Callable[[], list[str]]]], jobs: int, modules: tuple[str, ...]
) -> list[str]:
    from torchrl_drigm.commands._processes import one_by_one

    start, wrong = time.perf_counter(), []
    for number, (label, told) in enumerate(one_by_one(calls, jobs, modules), 1):
        wrong += told
        passed = time.perf_counter() - start
        left = passed / number * (len(calls) - number)
        more = f", about {about(left)} left" if number < len(calls) else ""
        print(f"{number} of {len(calls)}: {label}, {about(passed)} so far{more}.", flush=True)
    return wrong
