"""A task: all that the house knows about one simulator, in one place."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pandas as pd
import torch
from omegaconf import DictConfig, OmegaConf
from tensordict.utils import NestedKey
from torch import Tensor
from torchrl.envs import EnvBase, Transform, TransformedEnv

from torchrl_drigm import tasks
from torchrl_drigm._named import find_class
from torchrl_drigm.tasks.axes import MARKS
from torchrl_drigm.tasks.suites import Shift, plain

__all__ = ["Task", "Trial", "find_task", "make_task"]

_TASKS: dict[str, type[Task]] = {}


@dataclass
class Trial:
    """Episodes that are played at once in one environment.

    Attributes:
        env: the environment, without what agents need on it.
        rows: one row per episode, with the columns ``shift``, ``episode`` and what else is known of
            each beforehand.
        reset: arguments of its reset.
    """

    env: EnvBase
    rows: pd.DataFrame
    reset: Mapping[str, Tensor] = field(default_factory=dict)


class Task(ABC):
    """A simulator as the trainers and the evaluation see it.

    A subclass with a ``name`` is found under it in a config (``env.name``); the other fields of
    ``env`` are the arguments of its constructor.

    Attributes:
        name: what configs and tables call it.
        shifts: what a shift may change, and what that means; one entry of a shift each. Beside
            these every shift may say where it stands, by ``axis`` and ``level``
            (:func:`~torchrl_drigm.tasks.shifts_along`).
        suites: named lists of shifts, the usual one first. ``"validation"`` is there to choose
            parameters in. A shift of it stands in another one under its own name only, where that
            one would not be complete without it.
        metrics: columns by name, and the entries of an episode's last step that they show.
        columns: what a table of episodes shows of each.
        measure: the column that tables and pictures show, and what they call it, if that is
            another one than the return, which may be normalised.
        packages: what its simulator is installed as; results name their versions.
        resumes_mid_episode: whether its environments' state can be saved and restored.
        max_steps: steps after which every episode has ended; ``None`` if nothing says so.
        groups: what training episodes are drawn from at random, such as climates.

    Args:
        num_envs (int): copies to train in at once.
        reward_scale (float): learning sees ``reward_scale * reward / reward_unit + reward_loc``,
            see :attr:`reward_unit`.
        reward_loc (float): see ``reward_scale``.
        loc (float or sequence): agents see ``(observation - loc) / scale``.
        scale (float or sequence): see ``loc``.
        device: where environments live.
    """

    name: ClassVar[str]
    shifts: ClassVar[Mapping[str, str]] = {}
    suites: ClassVar[Mapping[str, Sequence[Shift]]] = {"nominal": [{"name": "nominal"}]}
    metrics: ClassVar[Mapping[str, NestedKey]] = {}
    columns: ClassVar[Sequence[str]] = ("return",)
    measure: ClassVar[tuple[str, str] | None] = None
    packages: Sequence[str] = ()
    resumes_mid_episode: ClassVar[bool] = True
    max_steps: int | None = None
    groups: Sequence[Any] = ()
    may_import = True  # not for a task that a run's folder describes

    def __init_subclass__(cls, **kwargs) -> None:
        super().__init_subclass__(**kwargs)
        if "name" in vars(cls):
            _TASKS[cls.name] = cls
        else:  # not another task's: it is found by its import path
            cls.name = cls.__name__

    def __init__(
        self,
        *,
        num_envs: int = 1,
        reward_scale: float = 1.0,
        reward_loc: float = 0.0,
        loc: float | Sequence[float] = 0.0,
        scale: float | Sequence[float] = 1.0,
        device: torch.device | str | None = "cpu",
    ) -> None:
        self.num_envs = num_envs
        self.reward_scale = reward_scale
        self.reward_loc = reward_loc
        self.loc = loc
        self.scale = scale
        self.device = device

    # ---- to train in

    @abstractmethod
    def make_env(self, num_envs: int, purpose: str, seed: int, shift: Shift) -> TransformedEnv:
        """Environments of this task, without what agents need on them.

        Args:
            num_envs (int): number of copies.
            purpose (str): ``"train"`` or ``"test"``; what is tested in is not trained in.
            seed (int): of all that is random there.
            shift (dict): what differs, in words of :attr:`shifts`; ``{}`` for nothing.
        """

    def train_env(self, seed: int) -> TransformedEnv:
        """``num_envs`` copies to train in."""
        return self.make_env(self.num_envs, "train", seed, {})

    def learning_transforms(self, env: TransformedEnv) -> list[Transform]:
        """What learning needs beyond what agents see, such as a scaled state."""
        return []

    def with_groups(self, groups: Sequence[Any]) -> Task:
        """This task with other :attr:`groups`, which GroupDR tells apart.

        Raises:
            ValueError: if the task has none.
        """
        raise ValueError(
            "uncertainty.name='group_dr' is for buildings, whose climates are its groups; "
            f"env.name={self.name!r} has none."
        )

    def check(self) -> None:
        """Refuse what its environments would refuse, before anything is trained or written."""
        return None

    def check_shifts(self, suite: str, shifts: Sequence[Shift]) -> None:
        """Refuse shifts in which a team of this task cannot play, where words do not say it.

        Args:
            suite (str): its name.
            shifts (sequence of dict): as :func:`~torchrl_drigm.tasks.read_suite` gives them.
        """
        return None

    @property
    def reward_unit(self) -> float:
        """What rewards are divided by before ``reward_scale``: their size, beside the usual."""
        return 1.0

    @property
    def about(self) -> str:
        """What it is made of, for messages."""
        return ""

    # ---- to judge in

    def knows(self, entry: str) -> bool:
        """Whether a shift may have that entry."""
        return entry in self.shifts

    def wrong_in(self, shift: Shift) -> str | None:
        """What is wrong with the values of a shift, as a sentence; ``None`` if nothing is."""
        return None

    def contents(self, shift: Shift) -> Shift:
        """What there is in a shift, its name apart, with what stays as in training written out.

        Nor does it matter where the shift stands on an axis. Two shifts of the same contents are
        the same one. Here what a shift may change is taken for an attribute of the task with the
        same name, where there is one.
        """
        trained = {word: getattr(self, word) for word in self.shifts if hasattr(self, word)}
        said = ("name", *MARKS)
        return trained | {word: value for word, value in shift.items() if word not in said}

    def trained_in(self, shift: Shift) -> bool:
        """Whether a shift is one that a team of this task was trained in.

        Examples:
            >>> from torchrl_drigm.tasks import BuildingTask
            >>> task = BuildingTask()  # env_1 of the paper, days 0 to 199
            >>> [task.trained_in({"name": "spring", "days": (lo, 180)}) for lo in (90, 150)]
            [True, True]
            >>> task.trained_in({"name": "autumn", "days": (200, 300)})
            False
        """
        return plain(self.contents(shift)) == plain(self.contents({}))

    def trials(self, shifts: Sequence[Shift], episodes: int, seed: int) -> Iterator[Trial]:
        """Environments to play ``episodes`` of each shift in; the same ones for the same seed."""
        for shift in shifts:
            env = self.make_env(self.test_envs(episodes), "test", seed, shift)
            rows = {"shift": shift["name"], "episode": range(episodes)}
            try:
                yield Trial(env, pd.DataFrame(rows))
            finally:
                if not env.is_closed:
                    env.close()

    def test_envs(self, episodes: int) -> int:
        """How many of that many episodes are played at once."""
        return episodes

    def normalise(self, value: Any) -> Any:
        """Return of an episode as a number that 1 is perfect for; ``None`` if nothing is known."""
        scaling = self.return_scaling
        return None if scaling is None else (value + scaling[1]) / scaling[0]

    @property
    def return_scaling(self) -> tuple[float, float] | None:
        """``(scale, offset)`` of the normalised return ``(R + offset) / scale``, if it has one."""
        return None

    @property
    def references(self) -> Mapping[str, Callable[[], Callable]]:
        """Policies to compare with, by name; each is made by a call."""
        return {}


def find_task(name: str, may_import: bool = True) -> type[Task]:
    """The task of that name, or of an import path such as ``"my_module.MyTask"``.

    Args:
        name (str): the name.
        may_import (bool): whether an import path may lead to a module that was not imported yet.

    Raises:
        ValueError: if there is none.

    Examples:
        >>> find_task("building").__name__
        'BuildingTask'
    """
    tasks.load()
    return find_class("env.name", name, _TASKS, Task, may_import)


def make_task(cfg: DictConfig, may_import: bool = True) -> Task:
    """The task of a config: ``env`` holds the arguments of its constructor.

    Args:
        cfg (DictConfig): the composed config.
        may_import (bool): see :func:`find_task`.

    Raises:
        ValueError: for an unknown name, or fields that the task does not take.
    """
    fields = OmegaConf.to_container(cfg.env, resolve=True)
    if "name" not in fields:
        raise ValueError(f"env has no name: which task it is, is not known. It has {list(fields)}.")
    task_cls = find_task(fields.pop("name"), may_import)
    fields |= fields.pop("options", None) or {}
    try:
        task = task_cls(**fields, device=cfg.get("device", "cpu"))
    except TypeError as error:
        raise ValueError(f"env: {task_cls.__name__} cannot be made: {error}.") from error
    task.may_import = may_import
    return task
