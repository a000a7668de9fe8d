"""Whether the adversary's worst value is worse than what happens without it."""

from __future__ import annotations

import math
import warnings

from omegaconf import DictConfig
from tensordict import TensorDictBase
from torchrl.trainers import Trainer

from torchrl_drigm.tasks import Task
from torchrl_drigm.trainers.hooks import Stateless
from torchrl_drigm.uncertainty import ForcedTotalVariation, UncertaintySet

__all__ = ["CheckWorstValue"]

LEAST_FRAMES = 1000  # of a few steps nobody knows what occurs


class CheckWorstValue(Stateless):
    r"""Warns once if ``worst_value`` is above every value that occurs.

    If the rewards so far are at most :math:`r`, no value is above :math:`r` where :math:`r \le 0`,
    and above :math:`r / (1 - \gamma)` elsewhere. A ``worst_value`` above that, such as the default
    0 where rewards are negative, is no worst value: contamination is then optimistic, and total
    variation nominal. The number to take is the lowest reward so far over :math:`1 - \gamma`.

    Sets without a ``worst_value`` are let pass, those of size 0, and
    :class:`~torchrl_drigm.uncertainty.ForcedTotalVariation`, which is there for such values.

    Args:
        uncertainty (UncertaintySet): the set.
        gamma (float): the discount.
        frames (int): environment steps after which it is looked at, once.
        max_steps (int, optional): of an episode, which bounds its return where ``gamma`` is 1.
    """

    def __init__(
        self,
        uncertainty: UncertaintySet,
        gamma: float,
        frames: int,
        max_steps: int | None = None,
    ) -> None:
        self.worst_value = uncertainty.worst_value
        may = self.worst_value is not None and getattr(uncertainty, "rho", 0) > 0
        self.waits = may and not isinstance(uncertainty, ForcedTotalVariation)
        self.frames = frames
        self.horizon = 1 / (1 - gamma) if gamma < 1 else max_steps
        self._seen, self._low, self._high = 0, math.inf, -math.inf

    @classmethod
    def of(cls, cfg: DictConfig, uncertainty: UncertaintySet, task: Task) -> CheckWorstValue:
        """The check of a run: when exploration or a quarter of the run is over, but not at once."""
        frames = min(cfg.exploration.annealing_frames, cfg.collector.total_frames // 4)
        frames = max(frames, LEAST_FRAMES)
        return cls(uncertainty, cfg.optim.gamma, frames, task.max_steps)

    def __call__(self, batch: TensorDictBase) -> None:
        """Look at the rewards of a batch, ``("next", "reward")``, as the loss sees them."""
        if not self.waits:
            return
        reward = batch["next", "reward"]
        self._low = min(self._low, reward.min().item())
        self._high = max(self._high, reward.max().item())
        self._seen += batch.numel()
        if self._seen < self.frames:
            return
        self.waits = False
        horizon = math.inf if self.horizon is None else self.horizon
        if self.worst_value > (self._high if self._high <= 0 else self._high * horizon):
            warnings.warn(self._warning(), stacklevel=2)

    def _warning(self) -> str:
        lowest = 0.0 if self._low >= 0 or self.horizon is None else self._low * self.horizon
        # two digits, and not above the number itself
        step = 10.0 ** (math.floor(math.log10(-lowest)) - 1) if lowest else 1.0
        number = math.floor(round(lowest / step, 6)) * step
        remedy = f"{number:g}" if lowest or self._low >= 0 else "a return below every other"
        return (
            f"uncertainty.worst_value={self.worst_value:g} is above every value that occurs: the "
            f"rewards of {self._seen:,} steps were between {self._low:.3g} and {self._high:.3g}. "
            "The adversary then brings in something better than what happens without it, which is "
            f"no robustness. Take uncertainty.worst_value={remedy}."
        )

    def register(self, trainer: Trainer, name: str = "check_worst_value") -> None:
        """Look at each batch before its updates."""
        trainer.register_op("pre_steps_log", self)
