"""Suites of shifts: lists of dictionaries, by the name of a task, from a YAML file or as they are.

A shift is one environment to judge a team in: its ``name``, and what differs there from where the
team was trained, in words that the task knows (:attr:`~torchrl_drigm.tasks.Task.shifts`). With an
``axis``, a name, and a ``level``, a number, it also says where it stands among shifts of its kind:
every task takes these two, they change nothing that is played, and results show them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import MarkedYAMLError, YAMLError

from torchrl_drigm.tasks.axes import without_marks, wrong_marks

if TYPE_CHECKING:
    from torchrl_drigm.tasks.base import Task

__all__ = ["VALIDATION", "Shift", "read_suite", "refuse_test_shifts"]

Shift = dict[str, Any]
VALIDATION = "validation"  # the suite of a task to choose parameters in; all others are for tests


def read_suite(
    task: Task, suite: str | os.PathLike | Iterable[Mapping[str, Any]] | None = None
) -> tuple[str, list[Shift]]:
    """A suite's name and its shifts, checked against what the task knows.

    Args:
        task (Task): the task.
        suite: a name of ``task.suites``, a YAML file with a list of shifts, or the shifts
            themselves. Default: the first of ``task.suites``.

    Returns:
        tuple: the name (that of the file, or ``"own"``) and the shifts, the first one to be trained
        in or closest to it.

    Raises:
        ValueError: naming the suite, for an unknown name, or the shift, for one without a name of
            its own, with an entry that the task does not know or a value that it does not take, or
            with an axis or a level that is none.

    Examples:
        >>> from torchrl_drigm.tasks import BuildingTask
        >>> name, shifts = read_suite(BuildingTask(), "climate")
        >>> name, shifts[0]
        ('climate', {'name': 'env_1', 'climate': ('Hot_Dry', 'Tucson'), 'days': (0, 200)})
        >>> read_suite(BuildingTask(), [{"name": "summer", "days": (150, 240)}])[0]
        'own'
    """
    name = "own"
    if suite is None:
        suite = next(iter(task.suites))
    if isinstance(suite, str | os.PathLike):
        name, suite = _by_name(task, suite)
    if OmegaConf.is_config(suite):
        suite = OmegaConf.to_container(suite, resolve=True)
    if not isinstance(suite, Iterable) or isinstance(suite, Mapping):
        raise ValueError(f"suite must be a list of shifts, got {suite!r}.")
    shifts = [dict(shift) if isinstance(shift, Mapping) else shift for shift in suite]
    if not shifts:
        raise ValueError(f"suite {name!r} has no shifts: there is nothing to evaluate in.")
    seen = set()
    for index, shift in enumerate(shifts):
        if not isinstance(shift, dict) or "name" not in shift:
            raise ValueError(
                f"suite {name!r}: shift {index} must be a dictionary with a 'name', got {shift!r}."
            )
        if not isinstance(shift["name"], str):
            raise ValueError(
                f"suite {name!r}: shift {index} has name={shift['name']!r}, which is no text: "
                f"quote it, name: '{shift['name']}'."
            )
        if shift["name"] in seen:
            raise ValueError(f"suite {name!r}: the name {shift['name']!r} is there twice.")
        seen.add(shift["name"])
        changed = without_marks(shift)
        unknown = [key for key in changed if key != "name" and not task.knows(key)]
        if unknown:
            raise ValueError(
                f"suite {name!r}: shift {shift['name']!r} has {unknown}, which the task "
                f"{task.name!r} does not know; it knows {list(task.shifts)}."
            )
        if (wrong := wrong_marks(shift) or task.wrong_in(changed)) is not None:
            raise ValueError(f"suite {name!r}: shift {shift['name']!r}: {wrong}")
    return name, shifts


def check_battles(task: Task) -> None:
    """Refuse a task that cannot be tested during training (``evaluation.interval``).

    Raises:
        ValueError: for a task that tells nobody who won, or knows no noise.
    """
    if "won" not in task.metrics or not task.knows("noise_std"):
        raise ValueError(
            f"evaluation.interval asks for battles to be tested, but env.name={task.name!r} tells "
            "no metric 'won' or knows no shift 'noise_std': take the config 'torchrl' or "
            "'building', whose teams are judged after training."
        )


def refuse_test_shifts(
    task: Task, suite: str, shifts: Iterable[Shift], tested: Mapping[str, Iterable[Shift]]
) -> None:
    """Refuse to choose a parameter in shifts that it is tested in, whatever they are called.

    Test shifts are those of all suites of the task but ``"validation"``, and those given; but for
    those that the task cannot play, such as a severity that makes a probability of more than 1, and
    for those of ``"validation"`` itself, which another suite of the task may hold to be complete,
    under the same name and with the same contents. Its table shows them, and by their names that
    parameters were chosen in them.

    Args:
        task (Task): the task.
        suite (str): what the shifts to choose in are called together.
        shifts (iterable of dict): these.
        tested (mapping): further test shifts, by what their suite is called.

    Raises:
        ValueError: naming a shift that is one of both, and where.

    Examples:
        >>> from torchrl_drigm.tasks import SMAXTask
        >>> shifts = [{"name": "mine", "noise_std": 0.75}]
        >>> refuse_test_shifts(SMAXTask(), "own", shifts, {})
        Traceback (most recent call last):
        ValueError: suite 'own': shift 'mine' is 'noisy' of the test suite 'noise'. ...
    """

    def named(suite: Iterable[Shift]) -> list[tuple[str, Shift]]:
        changed = [without_marks(shift) for shift in suite]
        playable = [shift for shift in changed if task.wrong_in(shift) is None]
        return [(shift["name"], plain(task.contents(shift))) for shift in playable]

    validation = named(task.suites.get(VALIDATION, ()))
    suites = {name: own for name, own in task.suites.items() if name != VALIDATION}
    tests = [
        (name, *test)
        for name, own in (suites | dict(tested)).items()
        for test in named(own)
        if name not in suites or test not in validation
    ]
    for shift in shifts:
        contents = plain(task.contents(without_marks(shift)))
        for name, test, other in tests:
            if contents == other:
                refuse_test_shift(task, suite, shift["name"], test, name)


def refuse_test_shift(task: Task, suite: str, shift: str, test: str, tested: str) -> NoReturn:
    """Refuse to choose in a shift, by its name and those of the test and its suite.

    Raises:
        ValueError: always.
    """
    has = VALIDATION in task.suites and suite != VALIDATION
    known = f"the suite {VALIDATION!r}" if has else "a YAML file of your own"
    raise ValueError(
        f"suite {suite!r}: shift {shift!r} is {test!r} of the test suite {tested!r}. What is "
        f"chosen in it is not tested there any more. Choose in other shifts, such as {known}."
    )


def plain(value: Any) -> Any:
    """A value of Python or YAML, whose lists and tuples are the same."""
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def _by_name(task: Task, suite: str | os.PathLike) -> tuple[str, Any]:
    if suite in task.suites:
        return str(suite), task.suites[suite]
    path = Path(suite)
    if path.suffix not in (".yaml", ".yml"):
        raise ValueError(
            f"suite={str(suite)!r} is unknown; valid names: {', '.join(task.suites)}. A suite of "
            "your own is a list of dictionaries, or a YAML file with one."
        )
    if not path.is_file():
        raise ValueError(
            f"suite={str(suite)!r}: there is no such file in {Path.cwd()}. "
            f"Valid names: {', '.join(task.suites)}."
        )
    if path.stem in task.suites:
        raise ValueError(
            f"suite={str(suite)!r} would be taken for {path.stem!r}, a suite of the task "
            f"{task.name!r}, in results: give the file another name."
        )
    return path.stem, _load(path)


def _load(path: Path) -> list[Any]:
    """The list in a YAML file.

    Raises:
        ValueError: naming the file, the line and what a suite looks like.
    """
    where, why = f"suite={str(path)!r}", ""
    try:
        suite = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        if mark is not None:  # which is behind the last line where an end is missing
            n_lines = len(path.read_text(encoding="utf-8").splitlines())
            where += f", line {min(mark.line + 1, n_lines)}"
        why = f"cannot be read: {error.problem or error.context}"
    except (YAMLError, OmegaConfBaseException, OSError, UnicodeDecodeError) as error:
        why = f"cannot be read: {str(error).splitlines()[0]}"
    else:
        if isinstance(suite, list):
            return suite
        why = f"holds {suite!r}, which is no list"
    raise ValueError(
        f"{where} {why}. A suite is a list of shifts in YAML, each in a line such as "
        "'- {name: summer, days: [150, 240]}'."
    )
