"""Suites along the severity of a nominal model's own randomness."""

from __future__ import annotations

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
