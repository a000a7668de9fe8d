"""Shifts to choose a parameter in, as the command line names them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torchrl_drigm.tasks._outlines import Outline
from torchrl_drigm.tasks.suites import VALIDATION, Shift, read_suite, refuse_test_shift

if TYPE_CHECKING:
    from torchrl_drigm.tasks import Task

__all__ = ["VALIDATION", "read_validation"]


def read_validation(task: Task | Outline, validate: str) -> tuple[str, list[Shift]]:
    """The name of the suite that ``--validate`` names, and its shifts.

    Raises:
        ValueError: for a task without a suite to choose in, a suite that is none, or one of the
            task's that is for tests.
    """
    if validate == VALIDATION and VALIDATION not in task.suites:
        raise ValueError(
            f"env.name={task.name!r} has no suite {VALIDATION!r}; it has "
            f"{', '.join(task.suites)}, to test in. Name a YAML file with shifts to choose in: "
            "--validate FILE.yaml."
        )
    name, shifts = read_suite(task, validate)
    if name in task.suites and name != VALIDATION:
        own = list(task.suites.get(VALIDATION, ()))
        tested = [shift for shift in shifts if shift not in own]
        if tested:
            refuse_test_shift(task, name, tested[0]["name"], tested[0]["name"], name)
    return name, shifts
