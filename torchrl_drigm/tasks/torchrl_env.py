"""Any multi-agent environment that TorchRL can make, as a task."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import partial
from typing import Any, ClassVar

import torch
from tensordict.utils import NestedKey
from torchrl.envs import Compose, EnvBase, SerialEnv, StepCounter, TransformedEnv, VmasEnv

from torchrl_drigm._named import find_callable
from torchrl_drigm._users import users_code
from torchrl_drigm._vmas import unknown_argument
from torchrl_drigm.envs import NoisyVmasEnv, team_env
from torchrl_drigm.envs._threads import keep_threads
from torchrl_drigm.envs.transforms import ActionFailure
from torchrl_drigm.envs.transforms._available_actions import AvailableActions
from torchrl_drigm.tasks._outlines import TORCHRL
from torchrl_drigm.tasks._own_env import OwnEnv
from torchrl_drigm.tasks.axes import MARKS, without_marks
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
from torchrl_drigm.tasks.suites import Shift, plain
from torchrl_drigm.uncertainty._checks import is_finite_number

__all__ = ["TorchRLTask"]

TRIED = 10  # steps, or fewer where an episode is shorter, before anything is written
NOISY = (NoisyVmasEnv, "torchrl_drigm.envs.NoisyVmasEnv")  # whose severity is a factor on its noise
ACTION, ACTION_MASK = ("agents", "action"), ("agents", "action_mask")
SIZES = {"actions": ACTION, "observations": ("agents", "observation"), "a state": "state"}


class TorchRLTask(Task):
    """An environment of TorchRL, VMAS, PettingZoo or Gymnasium, whose agents are one team.

    What makes it is a class or a function of one's own, and :func:`~torchrl_drigm.envs.team_env`
    makes a team's environment of what it returns: with one reward, one state, one flag for the end,
    and masks where actions can be unavailable. A shift is any argument of what makes it:
    ``{"name": "heavy", "package_mass": 10}``. Beside these, actions may fail, and
    ``{"name": "jammed", "action_failure": {"rate": 0.1}}`` changes how.

    A shift's ``severity`` is a factor on how often they fail and on ``kwargs["severity"]``, for a
    constructor that takes one, such as that of :class:`~torchrl_drigm.envs.NoisyVmasEnv`. With
    either, ``suites`` begin with ``"severity"``, and ``"validation"`` is another severity.

    Args:
        make (str or callable): a class or function by its import path, such as
            ``"torchrl.envs.VmasEnv"`` or ``"my_module:make_env"``, or itself. With an argument
            ``num_envs`` it makes that many copies that step at once, ``batch_size=[num_envs]``;
            without, one copy.
        kwargs (mapping): its arguments.
        key_map (mapping): where a TorchRL environment has its observation, action, action_mask,
            state and reward, see :func:`~torchrl_drigm.envs.team_env`; so for the next three.
        team_reward (str): ``"sum"`` or ``"mean"`` over the agents.
        team_state (str, optional): ``"observations"`` for these in place of its own state.
        action_levels (int, optional): levels of each number of a continuous action.
        max_steps (int, optional): steps after which an episode is cut; that is a truncation.
        return_scale (float, optional): return of a perfect episode, if there is such a thing.
        metrics (mapping): columns of a table of episodes by name, and the entries of the last step
            that they show.
        action_failure (mapping, optional): how actions fail in the nominal model: ``rate``,
            ``fallback`` and ``steps`` of :class:`~torchrl_drigm.envs.transforms.ActionFailure`.
            Default: never.
        **settings: those of :class:`~torchrl_drigm.tasks.Task`.

    Raises:
        ValueError: if there is no such class or function, or no team can act in what it makes.

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
        make: str | Callable[..., Any],
        kwargs: Mapping[str, Any] | None = None,
        key_map: Mapping[str, NestedKey] | None = None,
        team_reward: str = "sum",
        team_state: str | None = None,
        action_levels: int | None = None,
        max_steps: int | None = None,
        return_scale: float | None = None,
        metrics: Mapping[str, NestedKey] | None = None,
        action_failure: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self._make = make
        self.kwargs = dict(kwargs or {})
        self._team = {
            "key_map": key_map,
            "team_reward": team_reward,
            "team_state": team_state,
            "action_levels": action_levels,
        }
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

    @property
    def packages(self) -> Sequence[str]:
        """VMAS, or the package that what makes the environment is of; TorchRL is named anyway."""
        made = self._make
        parts = (getattr(made, name, "") for name in ("__module__", "__qualname__"))
        path = made if isinstance(made, str) else ".".join(parts)
        package = path.partition(":")[0].partition(".")[0]
        if package in ("torchrl", "torchrl_drigm"):
            return ("vmas",) if "Vmas" in path else ()
        return (package,)

    def knows(self, entry: str) -> bool:
        """Whatever makes the environment may take it; :meth:`wrong_in` knows."""
        return True

    def wrong_in(self, shift: Shift) -> str | None:
        """What the task itself gives is not a shift's, and what nothing takes is nobody's."""
        own = [key for key in ("num_envs", "seed", "device") if key in shift]
        if own:
            return f"{own} is the task's own, and cannot be shifted."
        if "severity" in shift and (wrong := wrong_severity(shift, "the constructor's")):
            return wrong
        try:
            self._failure(shift, seed=0)
        except ValueError as error:
            return str(error)
        return self._wrong_arguments(self._maker(), self._arguments(shift))

    def check(self) -> None:
        """Make one copy, play a few random steps, and refuse what no team can act in."""
        with torch.random.fork_rng(devices=[]):  # nothing else becomes another
            env = self.make_env(1, "train", 0, {})
            played = env.rollout(TRIED)
            env.close()
        for key in (("agents", "observation"), "state", "reward"):
            values = played["next"].get(key)[0].flatten(1)  # [T, numbers], of the one copy
            wrong = ~values.isfinite().all(-1)
            if wrong.any():
                raise ValueError(
                    f"env.make={self._make!r}: its {key!r} has entries that are not finite after "
                    f"step {int(wrong.nonzero()[0]) + 1} of an episode, and nothing can be learned "
                    "from them. Look for what divides by zero, or takes a root or a logarithm."
                )

    def check_shifts(self, suite: str, shifts: Sequence[Shift]) -> None:
        """Make one copy in each, play a step, and refuse one that is not of the team's sizes."""
        expected = None
        with torch.random.fork_rng(devices=[]):
            for shift in [{"name": "training"}, *map(without_marks, shifts)]:
                try:
                    with closing(self.make_env(1, "test", 0, shift)) as env:
                        env.rollout(1)
                        sizes = {name: _size(env, key) for name, key in SIZES.items()}
                except ValueError as error:
                    told = type(error)(f"suite {suite!r}: shift {shift['name']!r}: {error}")
                    told.trace = getattr(error, "trace", "")  # of code of the user's own
                    raise told from error
                expected = expected or sizes
                if sizes != expected:
                    name = next(name for name in SIZES if sizes[name] != expected[name])
                    raise ValueError(
                        f"suite {suite!r}: shift {shift['name']!r} has {name} {sizes[name]}, and "
                        f"training {expected[name]}: a team plays where these are the same. Leave "
                        f"out what changes it, of {list(shift)[1:]}."
                    )

    def _maker(self) -> Callable[..., Any]:
        if isinstance(self._make, str):
            with users_code("env.make", self._make):
                return find_callable("env.make", self._make, self.may_import)
        return self._make

    def _wrong_arguments(self, make: Callable[..., Any], given: Mapping[str, Any]) -> str | None:
        """Which arguments it does not take, or lacks, as a sentence."""
        copies = {"num_envs": 1} if _takes(make, "num_envs", by_name=True) else {}
        try:
            _signature(make).bind(**given, **copies)
        except TypeError as error:
            return (
                f"env.make={self._make!r} cannot be called with {list(given)}: {error}. Its "
                f"arguments are {_signature(make)}; env.kwargs and shifts give them by name."
            )
        if make in (VmasEnv, NoisyVmasEnv):
            wrong = unknown_argument(make.__name__, given.get("scenario"), given)
            return None if wrong is None else f"env.make={self._make!r}: {wrong}"
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

    def trained_in(self, shift: Shift) -> bool:
        """Whether all is as in training; a default of what makes the environment may be written."""
        parameters = _signature(self._maker()).parameters
        given = {
            w: p.default for w in shift if (p := parameters.get(w)) and p.default is not p.empty
        }
        return plain(given | self.contents(shift)) == plain(given | self.contents({}))

    @property
    def return_scaling(self) -> tuple[float, float] | None:
        """The return of a perfect episode is 1."""
        return None if self.return_scale is None else (self.return_scale, 0.0)

    def make_env(self, num_envs: int, purpose: str, seed: int, shift: Shift) -> TransformedEnv:
        """``num_envs`` copies: of one batched environment, or one after the other in a process."""
        (seed,) = battle_seeds(purpose, seed)
        make, given = self._maker(), self._arguments(shift)
        if wrong := self._wrong_arguments(make, given):
            raise ValueError(wrong)
        with users_code("env.make", self._make):
            env = keep_threads(self._copies(make, given, num_envs, seed))
        transforms = self._failure(shift, seed)
        if self.max_steps is not None:
            transforms.append(StepCounter(self.max_steps))
        if ACTION_MASK in env.observation_spec.keys(True, True):
            transforms.append(AvailableActions(ACTION, ACTION_MASK))
        return OwnEnv(TransformedEnv(env, Compose(*transforms), auto_unwrap=True), self._make)

    def _copies(
        self, make: Callable[..., Any], given: Mapping[str, Any], num_envs: int, seed: int
    ) -> EnvBase:
        """A team's environment of what ``make`` makes, ``[num_envs]``."""
        if _takes(make, "num_envs", by_name=True):
            own = {"seed": seed, "device": self.device}
            own = {name: value for name, value in own.items() if _takes(make, name)}
            env = make(num_envs=num_envs, **own, **given)
            if getattr(env, "batch_size", None) != (num_envs,):
                raise ValueError(
                    f"it was asked for num_envs={num_envs}, and made {env!r} without "
                    f"batch_size=[{num_envs}]. Let it have no argument num_envs, and one copy is "
                    "asked for at a time."
                )
            if "seed" not in own:
                env.set_seed(seed)
            return team_env(env, **self._team)
        one = make(**given)
        if isinstance(one, EnvBase) and len(one.batch_size):
            raise ValueError(
                f"it made {tuple(one.batch_size)} copies, and takes no num_envs: give it that "
                "argument, and let it make as many as are asked for."
            )
        team_env(one, **self._team).close()  # in the words of what is wrong with one copy
        if isinstance(one, EnvBase):  # a transform of all is quicker than one of each
            env = SerialEnv(num_envs, partial(make, **given), device=self.device)
            env = team_env(env, **self._team)
        else:
            team = {**self._team, "device": self.device}
            env = SerialEnv(num_envs, lambda: team_env(make(**given), **team), device=self.device)
        env.set_seed(seed)
        return env


def _size(env: EnvBase, key: NestedKey) -> tuple[int, ...]:
    """Of an entry, without the copies; of actions, how many there are for each agent."""
    spec = env.full_action_spec if key == ACTION else env.observation_spec
    return (*spec[key].shape[1:], *([spec[key].n] if key == ACTION else []))


def _signature(make: Callable[..., Any]) -> inspect.Signature:
    """What it takes. Of a class TorchRL's metaclass hides it, and not of its ``__init__``."""
    if not isinstance(make, type):
        return inspect.signature(make)
    signature = inspect.signature(make.__init__)
    return signature.replace(parameters=list(signature.parameters.values())[1:])


def _takes(make: Callable[..., Any], name: str, by_name: bool = False) -> bool:
    """Whether ``make`` has an argument of that name, or, unless asked ``by_name``, takes any."""
    parameters = _signature(make).parameters
    anything = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    return name in parameters or (anything and not by_name)
