"""The severity of a nominal model's own randomness: suites along it, and what it may be.

All of it is known without PyTorch.
"""

from __future__ import annotations

from typing import Any

from torchrl_drigm._numbers import is_finite_real
from torchrl_drigm.tasks.suites import Shift

__all__ = ["severity_suites", "times", "wrong_severity"]

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


def wrong_severity(shift: Shift, *random: Any) -> str | None:
    """What is wrong with a shift's severity, as a sentence; ``None`` if nothing is.

    Args:
        shift (dict): the shift.
        *random: what is random in the nominal model; each ``None`` or empty if it is not.
    """
    severity = shift["severity"]
    if not is_finite_real(severity) or severity < 0:
        return f"severity={severity!r} must be a finite number of at least 0."
    if not any(random):
        return (
            f"severity={severity} is a factor on what is random in the nominal model, and nothing "
            "is: train with env=building_failures, building_random_weather, smax_failures or such."
        )
    return None


def times(severity: Any, shift: Shift) -> Any:
    """A severity times a shift's; what is no number stays, for its class to refuse by name.

    Examples:
        >>> times(2.0, {"severity": 3.0}), times("high", {"severity": 3.0})
        (6.0, 'high')
    """
    return severity * shift.get("severity", 1.0) if is_finite_real(severity) else severity
