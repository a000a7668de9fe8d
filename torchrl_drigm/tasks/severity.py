"""How severe a nominal model's own randomness is: the axis of shifts that all tasks share."""

from __future__ import annotations

import math
from typing import Any

from torchrl_drigm.tasks.suites import Shift

__all__ = ["severity_suites"]

TESTED = (1.0, 2.0, 4.0, 6.0)
VALIDATION = 3.0


def severity_suites() -> dict[str, list[Shift]]:
    """The suites of a task whose nominal model is random: one to test in, one to choose by.

    A shift's ``severity`` is a factor on how often, or how far, things go wrong, 1 being nominal.
    The one to choose the size of a set or a discount by is not among those that are tested.

    Examples:
        >>> [shift["severity"] for shift in severity_suites()["severity"]]
        [1.0, 2.0, 4.0, 6.0]
        >>> severity_suites()["validation"]
        [{'name': 'severity 3', 'severity': 3.0}]
    """
    suites = {"severity": TESTED, "validation": (VALIDATION,)}
    return {
        name: [{"name": f"severity {severity:g}", "severity": severity} for severity in severities]
        for name, severities in suites.items()
    }


def wrong_severity(severity: Any, random: Any) -> str | None:
    """What is wrong with a shift's severity, as a sentence; ``None`` if nothing is.

    Args:
        severity: the entry of the shift.
        random: what is random in the nominal model; empty, zero or ``None`` if nothing is.
    """
    number = isinstance(severity, int | float) and not isinstance(severity, bool)
    if not number or not 0 <= severity < math.inf:
        return f"severity={severity!r} must be a finite number of at least 0."
    if not random:
        return (
            f"severity={severity} is a factor on what is random in the nominal model, and nothing "
            "is: train with env=building_failures, building_random_weather, smax_failures or such."
        )
    return None
