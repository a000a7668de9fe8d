"""Harvest, machines and drones as tasks: small, fast, and with an exact answer to compare with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from tensordict.utils import NestedKey
from torchrl.envs import Compose, TransformedEnv

from torchrl_drigm.envs import DecPOMDPEnv, DronesEnv, HarvestEnv, MachinesEnv
from torchrl_drigm.tasks._outlines import TOY
from torchrl_drigm.tasks.base import Task
from torchrl_drigm.tasks.seeds import battle_seeds
from torchrl_drigm.tasks.suites import Shift

if TYPE_CHECKING:
    from torchrl_drigm.tabular import DecPOMDP

__all__ = ["DronesTask", "HarvestTask", "MachinesTask", "ToyTask"]


class ToyTask(Task):
    r"""What the toy environments have in common: one severity, and a return that is discounted.

    A shift is another severity. Tables show the *discounted* return :math:`\sum_t \gamma^t r_t`,
    which exact values are about: its mean over episodes is the value of the start, up to what
    follows after ``max_steps``. :func:`~torchrl_drigm.evaluation.exact_return` gives it without the
    noise of episodes.

    Args:
        severity (float): what to train in.
        max_steps (int, optional): steps after which an episode is truncated. Default: that of the
            environment.
        **settings: those of :class:`~torchrl_drigm.tasks.Task`.
    """

    shifts: ClassVar[Mapping[str, str]] = TOY.shifts
    suites: ClassVar[Mapping[str, Sequence[Shift]]] = TOY.suites
    metrics: ClassVar[Mapping[str, NestedKey]] = {
        "discounted_return": ("info", "discounted_return")
    }
    columns = ("discounted_return", "return", "steps")
    measure = ("discounted_return", "discounted return")
    env_cls: ClassVar[type[DecPOMDPEnv]]

    def __init__(
        self, *, severity: float = 1.0, max_steps: int | None = None, **settings: Any
    ) -> None:
        super().__init__(**settings)
        self.severity = severity
        self.max_steps = type(self).max_steps if max_steps is None else max_steps
        self.options: dict[str, Any] = {}  # further arguments of the environment

    def wrong_in(self, shift: Shift) -> str | None:
        """The model knows which severities there are."""
        try:
            self.model(shift.get("severity", self.severity))
        except ValueError as error:
            return str(error)
        return None

    def make_env(self, num_envs: int, purpose: str, seed: int, shift: Shift) -> TransformedEnv:
        """``num_envs`` copies at one severity."""
        (seed,) = battle_seeds(purpose, seed)
        env = self.env_cls(
            shift.get("severity", self.severity),
            num_envs,
            max_steps=self.max_steps,
            seed=seed,
            device=self.device,
            **self.options,
        )
        return TransformedEnv(env, Compose())

    def model(self, severity: float | None = None) -> DecPOMDP:
        """What is played at a severity, to be solved exactly. Default: that of training.

        Examples:
            >>> MachinesTask().model(3.0)
            DecPOMDP(n_states=49, n_actions=(2, 2), gamma=0.9, n_terminal=0)
        """
        return self.env_cls(self.severity if severity is None else severity, **self.options).model


class HarvestTask(ToyTask):
    """Two agents bring in a harvest, :class:`~torchrl_drigm.envs.HarvestEnv`.

    Examples:
        >>> env = HarvestTask().make_env(2, "test", seed=11, shift={"severity": 3.0})
        >>> env.severity, env.reset()["state"].shape
        (3.0, torch.Size([2, 50]))
    """

    name = "harvest"
    env_cls = HarvestEnv
    max_steps = 7


class MachinesTask(ToyTask):
    """Two machines to run or to maintain, :class:`~torchrl_drigm.envs.MachinesEnv`.

    Args:
        cost_in_reward (bool): whether a failure is paid in the reward of its own step.
        **settings: those of :class:`ToyTask`.
    """

    name = "machines"
    env_cls = MachinesEnv
    max_steps = 100

    def __init__(self, *, cost_in_reward: bool = False, **settings: Any) -> None:
        super().__init__(**settings)
        self.options["cost_in_reward"] = cost_in_reward


class DronesTask(ToyTask):
    """Two drones on patrol, :class:`~torchrl_drigm.envs.DronesEnv`."""

    name = "drones"
    env_cls = DronesEnv
    max_steps = 300
