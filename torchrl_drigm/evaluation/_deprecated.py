"""Names and arguments of before, which still work for one release, with a warning."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import wraps
from typing import Any

import pandas as pd
from tensordict import TensorDictBase
from torchrl.envs import EnvBase

from torchrl_drigm.tasks import BuildingTask, Task, play


@dataclass(frozen=True)
class Shift:
    """A shift of a building, as an object: a dictionary does it now."""

    name: str
    climate: tuple[str, str]
    days: tuple[int, int]


@dataclass(frozen=True)
class Suite:
    """A suite as an object: a list of dictionaries does it now."""

    name: str
    description: str
    shifts: tuple[Shift, ...]


_SUITES = {
    name: Suite(name, "", tuple(Shift(**shift) for shift in BuildingTask.suites[name]))
    for name in ("climate", "validation")  # all that there were
}


def get_suite(name: str) -> Suite:
    """A building's suite of that name, as an object."""
    if name not in _SUITES:
        raise ValueError(f"suite={name!r} is unknown; valid names: {', '.join(_SUITES)}.")
    return _SUITES[name]


def play_battles(
    policy: Callable[[TensorDictBase], TensorDictBase],
    env: EnvBase,
    episodes: int = 32,
    max_steps: int = 1000,
) -> pd.DataFrame:
    """Whole battles of a policy: columns ``episode``, ``won``, ``return`` and ``steps``."""
    metrics = {"won": ("info", "battle_won")}
    return play(policy, env, episodes, metrics=metrics, max_steps=max_steps)


_EPISODES = 50  # the default of evaluate


def policy_as_before(evaluate: Callable[..., pd.DataFrame]) -> Callable[..., pd.DataFrame]:
    """Lets ``evaluate`` take its first argument by the name of before, ``policy``."""

    @wraps(evaluate)
    def wrapped(*args: Any, **kwargs: Any) -> pd.DataFrame:
        if "policy" in kwargs:
            warnings.warn(
                "evaluate(policy=...) is deprecated: say evaluate(team=...).",
                DeprecationWarning,
                stacklevel=2,
            )
            kwargs["team"] = kwargs.pop("policy")
        return evaluate(*args, **kwargs)

    return wrapped


def as_before(
    task: Task | str | Suite | None,
    suite: Any,
    episodes: int,
    seed: int,
    env_kwargs: dict[str, Any] | None,
) -> tuple[Task | None, Any, int, int]:
    """Arguments of ``evaluate`` from those of before: suite, episodes and seed, in this order."""
    if isinstance(task, str | Suite):
        warnings.warn(
            "evaluate(team, suite) is deprecated: the task comes second now. Say "
            "evaluate(team, suite=...).",
            DeprecationWarning,
            stacklevel=4,
        )
        if isinstance(suite, int):
            seed = seed if episodes == _EPISODES else episodes
            episodes = suite
        task, suite = None, task
    if env_kwargs is not None:
        warnings.warn(
            "env_kwargs is deprecated: say evaluate(team, BuildingTask(**env_kwargs)).",
            DeprecationWarning,
            stacklevel=4,
        )
        task = BuildingTask(**env_kwargs)
    if isinstance(suite, Suite):
        warnings.warn(
            "Suite is deprecated: a suite is a list of dictionaries.",
            DeprecationWarning,
            stacklevel=4,
        )
        suite = [asdict(shift) for shift in suite.shifts]
    return task, suite, episodes, seed


_MOVED = {
    "Shift": (Shift, "a shift is a dictionary"),
    "Suite": (Suite, "a suite is a list of dictionaries"),
    "get_suite": (get_suite, "read torchrl_drigm.tasks.BuildingTask.suites[name]"),
    "SUITES": (_SUITES, "read torchrl_drigm.tasks.BuildingTask.suites"),
    "play_battles": (
        play_battles,
        "use torchrl_drigm.tasks.play with metrics={'won': ('info', 'battle_won')}",
    ),
}


def named(name: str) -> Any:
    """What ``torchrl_drigm.evaluation`` once called so.

    Raises:
        AttributeError: if it never had that name.
    """
    if name not in _MOVED:
        raise AttributeError(f"module 'torchrl_drigm.evaluation' has no attribute {name!r}")
    found, remedy = _MOVED[name]
    warnings.warn(
        f"torchrl_drigm.evaluation.{name} is deprecated and will go with the next release: "
        f"{remedy}.",
        DeprecationWarning,
        stacklevel=3,
    )
    return found
