"""What rewards say of a config: whether they differ, and whether a worst value is worse."""

from __future__ import annotations

import math

from omegaconf import DictConfig
from tensordict import TensorDictBase
from torchrl.trainers import Trainer

from torchrl_drigm._warnings import warn_of_run
from torchrl_drigm.tasks import Task
from torchrl_drigm.trainers.hooks import Stateless
from torchrl_drigm.uncertainty import ForcedTotalVariation, UncertaintySet

__all__ = ["CheckRewards"]

LEAST_FRAMES = 1000  # of a few steps nobody knows what occurs


class CheckRewards(Stateless):
    r"""Warns once of rewards that are all the same, and of a ``worst_value`` that is none.

    Where every reward is the same number and no episode has terminated, all policies earn the same.

    A ``worst_value`` is none if it is above every value that occurs, or the highest there can be.
    If the rewards so far are at most :math:`r`, no value is above :math:`r` where :math:`r \le 0`,
    and above :math:`r \sum_{t < T} \gamma^t` elsewhere, with :math:`T` steps to an episode. A
    ``worst_value`` above that, such as the default 0 where rewards are negative, is no worst value,
    nor is one at that bound where some rewards are lower, such as 0 with costs that end at 0:
    contamination is then optimistic, and total variation nominal. The number to take is the lowest
    reward so far, times that sum.

    :math:`T` is ``max_steps`` where the episodes so far have terminated. One that is truncated is
    worth what would have followed, so there, as where none has ended, the sum is
    :math:`1 / (1 - \gamma)`.

    Sets without a ``worst_value`` have none to be looked at, nor have those of size 0, and
    :class:`~torchrl_drigm.uncertainty.ForcedTotalVariation`, which is there for such values.

    Attributes:
        worst_value (float or None): what is looked at.
        waits (bool): whether it has not looked yet.

    Args:
        uncertainty (UncertaintySet): the set.
        gamma (float): the discount.
        frames (int): environment steps after which it is looked at, once.
        max_steps (int, optional): after which every episode has ended.
        loc (float, optional): ``env.reward_loc``, where that may be another one: with rewards above
            0 no value has to be learned that is far from it.
    """

    def __init__(
        self,
        uncertainty: UncertaintySet,
        gamma: float,
        frames: int,
        max_steps: int | None = None,
        loc: float | None = None,
    ) -> None:
        none = getattr(uncertainty, "rho", 0) == 0 or isinstance(uncertainty, ForcedTotalVariation)
        self.worst_value = None if none else uncertainty.worst_value
        self.waits = True
        self.frames = frames
        self.gamma, self.max_steps, self.loc = gamma, max_steps, loc
        self._seen, self._low, self._high = 0, math.inf, -math.inf
        self._terminated = self._truncated = False

    @classmethod
    def of(cls, cfg: DictConfig, uncertainty: UncertaintySet, task: Task) -> CheckRewards:
        """The check of a run: when exploration is over for as long as it took, or half of the run.

        What random actions earn alone is no measure: with many zones no reward is positive before.
        """
        frames = min(2 * cfg.exploration.annealing_frames, cfg.collector.total_frames // 2)
        frames = max(frames, LEAST_FRAMES)
        loc = cfg.env.get("reward_loc")
        return cls(uncertainty, cfg.optim.gamma, frames, task.max_steps, loc)

    def __call__(self, batch: TensorDictBase) -> None:
        """Look at the rewards of a batch, ``("next", "reward")``, as the loss sees them."""
        if not self.waits:
            return
        reward = batch["next", "reward"]
        self._low = min(self._low, reward.min().item())
        self._high = max(self._high, reward.max().item())
        self._seen += batch.numel()
        terminated, truncated = (batch.get(("next", f), None) for f in ("terminated", "truncated"))
        if terminated is not None:
            self._terminated |= bool(terminated.any())
            self._truncated |= truncated is not None and bool((truncated & ~terminated).any())
        if self._seen < self.frames:
            return
        self.waits = False
        if self._low == self._high and not self._terminated:
            warn_of_run(
                f"every reward of the first {self._seen:,} steps was {self._low:g}, and no episode "
                "has terminated: whatever the team does earns the same, and there is nothing to "
                "learn. Look at what the environment gives as reward."
            )
        elif self.worst_value is not None:
            self._look_at_worst_value(self.worst_value)

    def _look_at_worst_value(self, worst_value: float) -> None:
        horizon = math.inf if self.horizon is None else self.horizon
        bound = self._high if self._high <= 0 else self._high * horizon
        # at the bound it is better than all that happens unless nothing but the highest does
        if worst_value > bound or worst_value == bound > self._low:
            warn_of_run(self._warning(worst_value > bound))

    @property
    def horizon(self) -> float | None:
        """The sum of the discounts of an episode, as the loss counts it; ``None`` for no bound."""
        if self.gamma == 1:
            return self.max_steps
        ends = self.max_steps is not None and self._terminated and not self._truncated
        return (1 - self.gamma**self.max_steps if ends else 1) / (1 - self.gamma)

    def _warning(self, above: bool) -> str:
        lowest = 0.0 if self._low >= 0 or self.horizon is None else self._low * self.horizon
        number = -_rounded_up(-lowest)
        remedy = f"{number:g}" if lowest or self._low >= 0 else "a return below every other"
        remedy = f"uncertainty.worst_value={remedy}"
        if self.loc is not None and self._low < 0 >= self.worst_value:
            loc = _rounded_up(self.loc - self._low)
            remedy = (
                f"env.reward_loc={loc:g}, with which these rewards would be 0 and more (values far "
                f"from 0 take long to learn), or {remedy}"
            )
        told = f"uncertainty.worst_value={self.worst_value:g} is the best value that can occur"
        if above:
            told = f"uncertainty.worst_value={self.worst_value:g} is above every value that occurs"
        return (
            f"{told}: the rewards of {self._seen:,} steps were between {self._low:.3g} and "
            f"{self._high:.3g}. "
            "The adversary then brings in something better than what happens without it, which is "
            f"no robustness. Take {remedy}."
        )

    def register(self, trainer: Trainer, name: str = "check_rewards") -> None:
        """Look at each batch before its updates."""
        trainer.register_op("pre_steps_log", self)


def _rounded_up(number: float) -> float:
    """Two digits of a number of 0 and more, and not below it."""
    if number <= 0:
        return 0.0
    step = 10.0 ** (math.floor(math.log10(number)) - 1)
    return math.ceil(round(number / step, 6)) * step
