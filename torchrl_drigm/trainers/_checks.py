"""Checks of a config that several builders need."""

from __future__ import annotations

from collections.abc import Collection

from omegaconf import DictConfig

__all__ = ["check_choice", "check_lmbda"]


def check_choice(field: str, value: str, choices: Collection[str]) -> str:
    """``value``, if it is one of the choices."""
    if value not in choices:
        raise ValueError(f"{field}={value!r} must be one of {list(choices)}.")
    return value


def check_lmbda(cfg: DictConfig) -> None:
    """Refuses λ-returns of what is no λ, or of data that are not in the order of time."""
    lmbda = cfg.optim.lmbda
    if lmbda is None:
        return
    if not isinstance(lmbda, int | float) or not 0 <= lmbda <= 1:
        raise ValueError(
            f"optim.lmbda={lmbda!r} must be a number in [0, 1], or null for one-step targets."
        )
    if not cfg.agent.recurrent:
        raise ValueError(
            f"optim.lmbda={lmbda} needs agent.recurrent=true: λ-returns go along a sequence of "
            "steps, and agents on windows learn from single transitions in no order. Set "
            "optim.lmbda=null, or take agent=recurrent."
        )
