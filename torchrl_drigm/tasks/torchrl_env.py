"""Any multi-agent environment that TorchRL can make, as a task."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, ClassVar

from tensordict.utils import NestedKey
from torchrl.envs import Compose, EnvBase, SerialEnv, StepCounter, TransformedEnv

from torchrl_drigm._named import find_class
from torchrl_drigm.envs import NoisyVmasEnv
from torchrl_drigm.envs.transforms import ActionFailure, TeamView
from torchrl_drigm.tasks._outlines import TORCHRL
from torchrl_drigm.tasks.axes import MARKS
from torchrl_drigm.tasks.base import Task
from torchrl_drigm.tasks.seeds import battle_seeds
from torchrl_drigm.tasks.severity import (
    action_failure,
    failure_contents,
    readable,
    severity_suites,
    times,
    wrong_severity,
)
from torchrl_drigm.tasks.suites import Shift
from torchrl_drigm.uncertainty._checks import is_finite_number

__all__ = ["TorchRLTask"]

NOISY = (NoisyVmasEnv, "torchrl_drigm.envs.NoisyVmasEnv")  # whose severity is a factor on its noise
ACTION, OBSERVATION = ("agents", "action"), ("agents", "observation")


class TorchRLTask(Task):
    """A TorchRL environment with discrete actions and one group of agents, ``"agents"``.

    Rewards may be per agent, in which case the team's is their sum and its state all observations
    side by side, or the team's already. A shift is any argument of the environment's constructor:
    ``{"name": "heavy", "package_mass": 10}``. Beside these, actions may fail, and
    ``{"name": "jammed", "action_failure": {"rate": 0.1}}`` changes how.

    A shift's ``severity`` is a factor on how often they fail and on ``kwargs["severity"]``, for a
    constructor that takes one, such as that of :class:`~torchrl_drigm.envs.NoisyVmasEnv`. With
    either, ``suites`` begin with ``"severity"``, and ``"validation"`` is another severity.

    Args:
        make (str or callable): class of the environment by its import path, such as
            ``"torchrl.envs.VmasEnv"``, or what makes one copy of it.
        kwargs (mapping): arguments of its constructor.
        max_steps (int, optional): steps after which an episode is cut; that is a truncation.
        return_scale (float, optional): return of a perfect episode, if there is such a thing.
        metrics (mapping): columns of a table of episodes by name, and the entries of the last step
            that they show.
        action_failure (mapping, optional): how actions fail in the nominal model: ``rate``,
            ``fallback`` and ``steps`` of :class:`~torchrl_drigm.envs.transforms.ActionFailure`.
            Default: never.
        **settings: those of :class:`~torchrl_drigm.tasks.Task`.

    Raises:
        ValueError: if there is no such class, or its environment has no group ``"agents"`` or no
            discrete actions.

    Examples:
        >>> task = TorchRLTask(
        ...     make="torchrl.envs.VmasEnv", kwargs={"scenario": "balance", "n_agents": 3}
        ... )
        >>> task.name, task.knows("package_mass")
        ('torchrl', True)
    """

    name = "torchrl"
    shifts: ClassVar[Mapping[str, str]] = TORCHRL.shifts
    columns = ("return", "steps")
    resumes_mid_episode = False

    def __init__(
        self,
        *,
        make: str | Callable[..., EnvBase],
        kwargs: Mapping[str, Any] | None = None,
        max_steps: int | None = None,
        return_scale: float | None = None,
        metrics: Mapping[str, NestedKey] | None = None,
        action_failure: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self._make = make
        self.kwargs = dict(kwargs or {})
        self.max_steps = max_steps
        self.return_scale = return_scale
        # a config has lists for nested keys
        self.metrics = {
            name: tuple(key) if isinstance(key, list) else key
            for name, key in (metrics or {}).items()
        }
        self.columns = (*self.metrics, *type(self).columns)
        self.action_failure = action_failure
        self._failure({}, seed=0)  # refuses what is none
        if action_failure is not None or "severity" in self.kwargs:
            self.suites = severity_suites() | type(self).suites

    def knows(self, entry: str) -> bool:
        """Whatever the constructor takes; it refuses the rest by itself."""
        return True

    def wrong_in(self, shift: Shift) -> str | None:
        """What the task itself gives to the constructor is not a shift's."""
        own = [key for key in ("num_envs", "seed", "device") if key in shift]
        if own:
            return f"{own} is the task's own, and cannot be shifted."
        if "severity" in shift and (wrong := wrong_severity(shift, "the constructor's")):
            return wrong
        try:
            self._failure(shift, seed=0)
        except ValueError as error:
            return str(error)
        return None

    def _failure(self, shift: Shift, seed: int) -> list[ActionFailure]:
        """The transform by which actions fail in a shift, if they do."""
        return action_failure(self.action_failure, shift, seed)

    def _arguments(self, shift: Shift) -> dict[str, Any]:
        """Those of the constructor."""
        own = ("name", "action_failure", "severity", *MARKS)
        given = self.kwargs | {key: value for key, value in shift.items() if key not in own}
        if "severity" in self.kwargs or ("severity" in shift and self.action_failure is None):
            given["severity"] = times(self.kwargs.get("severity", 1.0), shift)
        return given

    def contents(self, shift: Shift) -> Shift:
        """All arguments of the constructor, and how actions fail.

        Of a constructor that is not this package's it is not known which arguments say the same.
        """
        given = {"severity": 1.0, **self._arguments(shift)}
        noise = given.get("actuator_noise")
        if self._make in NOISY and is_finite_number(noise) and is_finite_number(given["severity"]):
            given |= {"actuator_noise": readable(noise * given["severity"]), "severity": 1.0}
        return given | failure_contents(self._failure(shift, 0))

    @property
    def return_scaling(self) -> tuple[float, float] | None:
        """The return of a perfect episode is 1."""
        return None if self.return_scale is None else (self.return_scale, 0.0)

    def make_env(self, num_envs: int, purpose: str, seed: int, shift: Shift) -> TransformedEnv:
        """``num_envs`` copies: of one batched environment, or one after the other in a process."""
        make = self._make
        if isinstance(make, str):
            make = find_class("env.make", make, {}, EnvBase, self.may_import)
        (seed,) = battle_seeds(purpose, seed)
        given = self._arguments(shift)
        if _is_batched(make):
            env = make(num_envs=num_envs, seed=seed, device=self.device, **given)
        else:
            env = SerialEnv(num_envs, partial(make, **given), device=self.device)
            env.set_seed(seed)
        self._check(env)
        transforms = self._failure(shift, seed)
        if self.max_steps is not None:
            transforms.append(StepCounter(self.max_steps))
        if ("agents", "reward") in env.reward_keys:
            transforms.append(TeamView())
        return TransformedEnv(env, Compose(*transforms))

    def _check(self, env: EnvBase) -> None:
        if OBSERVATION not in env.observation_spec.keys(True, True):
            raise ValueError(
                f"env.make={self._make!r}: its environment has no {OBSERVATION!r}, only "
                f"{list(env.observation_spec.keys(True, True))}. Put all agents into one group of "
                "that name, such as kwargs={'group_map': {'agents': [...]}}."
            )
        if not hasattr(env.full_action_spec[ACTION].space, "n"):
            raise ValueError(
                f"env.make={self._make!r}: its actions are not discrete, which value factorization "
                "needs, such as kwargs={'continuous_actions': False} of VMAS."
            )


def _is_batched(make: Callable[..., EnvBase]) -> bool:
    """Whether one environment is many copies by itself."""
    init = make.__init__ if isinstance(make, type) else make
    return "num_envs" in inspect.signature(init).parameters
