"""Shifts of a building from words of a command line: climates, days, and a suite in these."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

from torchrl_drigm.tasks._building_suites import BUILDING_SUITES
from torchrl_drigm.tasks._outlines import Outline
from torchrl_drigm.tasks.axes import without_marks
from torchrl_drigm.tasks.suites import Shift, read_suite

if TYPE_CHECKING:
    from torchrl_drigm.tasks import Task

__all__ = ["asked_shifts"]

# Every climate of SustainGym has a name there.
CLIMATES = {shift["name"]: shift["climate"] for shift in BUILDING_SUITES["climate16"]}
OWN = "own"
LONGEST = 60  # of words in a file's name


def asked_shifts(
    task: Task | Outline,
    suite: str | None = None,
    climates: Sequence[str] | None = None,
    days: Sequence[str] | None = None,
) -> tuple[str, list[Shift]]:
    """A suite's name and its shifts, each in every climate and range of days that was asked for.

    The name has the words in it, so that results of other ones go into another file.

    Args:
        task (Task or Outline): the task; of its outline only the task itself knows whether two
            shifts are the same.
        suite (str, optional): name of a suite, or a YAML file. Default: with climates or days one
            shift in which nothing else differs, otherwise the task's first suite.
        climates (sequence of str, optional): each a name of the suite ``climate16`` (``env_6``), a
            weather or a location that is in it once (``Mixed_Humid``, ``NewYork``), or any
            ``WEATHER,LOCATION``. Default: those of the shifts, or of training.
        days (sequence of str, optional): half-open ranges ``LO:HI`` of days of the year, or the two
            numbers of one range. Default: those of the shifts, or of training.

    Raises:
        ValueError: for a task without climates, a word that is none, or if two shifts would be the
            same.

    Examples:
        >>> from torchrl_drigm.tasks import BuildingTask
        >>> name, shifts = asked_shifts(BuildingTask(), climates=["NewYork"], days=["150:240"])
        >>> name
        'own_NewYork_days-150-239'
        >>> shifts
        [{'name': 'NewYork days 150-239', 'climate': ('Mixed_Humid', 'NewYork'),
          'days': (150, 240)}]
    """
    if climates is None and days is None:
        return read_suite(task, suite)
    for flag, word, given in (("--climates", "climate", climates), ("--days", "days", days)):
        if given is not None and word not in task.shifts:
            raise ValueError(
                f"{flag}={' '.join(given)}: the task {task.name!r} has no {word} that could be "
                f"shifted; it knows {list(task.shifts)}. Leave {flag} out, or name a suite with "
                f"--suite: {', '.join(task.suites)}, or a YAML file."
            )
    name, base = (OWN, [{"name": ""}]) if suite is None else read_suite(task, suite)
    places = [{"name": ""}] if climates is None else [_climate(word) for word in climates]
    ranges = [{"name": ""}] if days is None else _days(days)
    shifts = [
        _in(_in(shift, place), range_) for place in places for range_ in ranges for shift in base
    ]
    _, shifts = read_suite(task, shifts)
    if not isinstance(task, Outline):
        _refuse_twice(task, base, shifts[: len(base)])
    return "_".join((name, _slug(part["name"] for part in places + ranges))), shifts


def _slug(names: Iterable[str]) -> str:
    """A part of a file's name, another one for other names."""
    slug = re.sub(r"[^\w.-]+", "-", "_".join(filter(None, names)))
    if len(slug) <= LONGEST:
        return slug
    return f"{slug[:LONGEST]}_{hashlib.sha256(slug.encode()).hexdigest()[:8]}"


def _in(shift: Shift, part: Shift) -> Shift:
    """A shift with what a flag says in place of its own, and with both names."""
    more = {"name": f"{shift['name']} {part['name']}".strip()}
    if "axis" in shift and part["name"]:  # a curve of its own in each climate
        more["axis"] = f"{shift['axis']}, {part['name']}"
    return {**shift, **part, **more}


def _refuse_twice(task: Task, base: Sequence[Shift], shifts: Sequence[Shift]) -> None:
    """Refuse shifts that differ in a suite, and no more with what the flags say for all."""
    before, after = ([task.contents(without_marks(s)) for s in some] for some in (base, shifts))
    for i, j in combinations(range(len(base)), 2):
        if before[i] != before[j] and after[i] == after[j]:
            raise ValueError(
                f"--suite: {base[i]['name']!r} and {base[j]['name']!r} differ in nothing but what "
                "--climates and --days say for both. Leave out the one of these in which the "
                "shifts of the suite differ."
            )


def _climate(word: str) -> Shift:
    """A climate by one of its names, as part of a shift."""
    pair = tuple(part.strip("[]() ") for part in word.split(","))
    if len(pair) == 2 and all(pair):
        return {"name": " ".join(pair), "climate": pair}
    if word in CLIMATES:
        return {"name": word, "climate": CLIMATES[word]}
    found = [climate for climate in CLIMATES.values() if word in climate]
    if len(found) == 1:
        return {"name": word, "climate": found[0]}
    if found:
        options = " or ".join(",".join(climate) for climate in found)
        raise ValueError(f"--climates={word} is of {len(found)} climates: name {options}.")
    known = ", ".join(f"{name} ({','.join(climate)})" for name, climate in CLIMATES.items())
    raise ValueError(f"--climates={word} is none: name WEATHER,LOCATION, or one of {known}.")


def _days(words: Sequence[str]) -> list[Shift]:
    """Ranges of days, as parts of shifts."""
    if len(words) == 2 and all(word.isdecimal() for word in words):
        words = [":".join(words)]
    ranges = []
    for word in words:
        found = re.fullmatch(r"\[?(\d+)[:,](\d+)\]?", word)
        if found is None:
            raise ValueError(
                f"--days={word} is no range LO:HI of days of the year, such as 150:240, which is "
                "from day 150, counted from 0, to day 239."
            )
        low, high = map(int, found.groups())
        if low >= high:
            raise ValueError(f"--days={word} has no day: LO:HI is from LO to the day before HI.")
        ranges.append({"name": f"days {low}-{high - 1}", "days": (low, high)})
    return ranges
