"""How severe a nominal model's own randomness is: the axis of shifts that all tasks share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torchrl_drigm.envs.transforms import ActionFailure
from torchrl_drigm.tasks._severities import severity_suites, times, wrong_severity
from torchrl_drigm.tasks.suites import Shift

__all__ = ["severity_suites", "times", "wrong_severity"]


def action_failure(
    nominal: Mapping[str, Any] | None, shift: Shift, seed: int, **defaults: Any
) -> list[ActionFailure]:
    """The transform by which actions fail in a shift; none where they do not.

    Args:
        nominal (mapping, optional): arguments of the transform in the nominal model.
        shift (dict): its ``action_failure`` changes single ones of them; its ``severity`` is a
            factor.
        seed (int): of the failures.
        **defaults: arguments that need not be given.

    Raises:
        ValueError: naming the argument, for one that the transform does not have or refuses.

    Examples:
        >>> (failure,) = action_failure({"rate": 0.02}, {"severity": 3.0}, seed=0, fallback=4)
        >>> failure.probability, failure.fallback
        (0.06, 4)
    """
    changed = shift.get("action_failure")
    if nominal is None and changed is None:
        return []
    known = ["rate", "steps", "fallback", "severity"]
    for fields in (nominal or {}, changed or {}):
        if not isinstance(fields, Mapping) or not set(fields) <= set(known):
            raise ValueError(f"action_failure={fields!r} must be a mapping with keys of {known}.")
    fields = {"severity": 1.0, **defaults, **(nominal or {}), **(changed or {})}
    if missing := [name for name in ("rate", "fallback") if name not in fields]:
        raise ValueError(f"action_failure={fields!r} needs {missing[0]!r}, too.")
    severity = times(fields.pop("severity"), shift)
    try:
        return [ActionFailure(**fields, severity=severity, seed=seed)]
    except ValueError as error:
        raise ValueError(f"action_failure: {error}") from error


def failure_contents(failures: list[ActionFailure]) -> Shift:
    """How actions fail, however a shift says it, for comparing shifts."""
    some = [f for f in failures if f.probability > 0]
    return {"action_failure": [(readable(f.probability), f.fallback, f.steps) for f in some]}


def readable(number: float) -> float:
    """Without the rounding of a product, which would tell apart what is the same.

    Examples:
        >>> 0.1 * 3, readable(0.1 * 3)
        (0.30000000000000004, 0.3)
    """
    return float(f"{number:.12g}")
