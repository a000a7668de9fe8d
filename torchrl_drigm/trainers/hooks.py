"""Hooks of TorchRL's ``Trainer``: exploration, learning rates and returns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from tensordict import TensorDictBase
from tensordict.utils import NestedKey
from torchrl.modules import EGreedyModule
from torchrl.trainers import Trainer, TrainerHookBase

__all__ = ["AnnealEpsilon", "AnnealLearningRate", "LogEpisodeReturn", "Stateless"]


class Stateless(TrainerHookBase):
    """A hook that follows from the frame count, or from a batch alone."""

    def state_dict(self) -> dict[str, Any]:
        """Nothing to keep."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing to restore."""


class AnnealEpsilon(Stateless):
    """Linear ε of ε-greedy exploration, as a function of the frames collected so far.

    ``EGreedyModule.step`` does the same with one small tensor operation per frame.

    Args:
        greedy (EGreedyModule): the module whose ``eps`` is set.
        annealing_frames (int): frames over which ε goes from ``eps_init`` to ``eps_end``.
    """

    def __init__(self, greedy: EGreedyModule, annealing_frames: int) -> None:
        self.greedy = greedy
        self.annealing_frames = annealing_frames

    def __call__(self) -> None:
        """Set ε for the next collection."""
        greedy = self.greedy
        progress = min(1.0, self._trainer.collected_frames / self.annealing_frames)
        greedy.eps.copy_(greedy.eps_init + progress * (greedy.eps_end - greedy.eps_init))

    def log(self, batch: TensorDictBase) -> dict[str, float]:
        """The ε that collected this batch."""
        return {"epsilon": self.greedy.eps.item()}

    def register(self, trainer: Trainer, name: str = "anneal_epsilon") -> None:
        """Anneal after each batch, log before."""
        self._trainer = trainer
        trainer.register_op("post_steps", self)
        trainer.register_op("pre_steps_log", self.log)


class AnnealLearningRate(Stateless):
    """Learning rates that fall in a line, as a function of the frames collected so far.

    :class:`torch.optim.lr_scheduler.LinearLR` counts its own steps, which a run would have to keep;
    here a resumed run, or one made longer, needs nothing but its frames.

    Args:
        optimizers (mapping of str to Optimizer): whose rates are set, from those that they have
            now.
        end_factor (float): what is left of the rates at the end.
        total_frames (int): where the end is.

    Attributes:
        initial (dict): the rates at the start, of each group of each optimizer.
    """

    def __init__(
        self,
        optimizers: Mapping[str, torch.optim.Optimizer],
        end_factor: float,
        total_frames: int,
    ) -> None:
        self.optimizers = optimizers
        self.initial = {
            name: [group["lr"] for group in one.param_groups] for name, one in optimizers.items()
        }
        self.end_factor = end_factor
        self.total_frames = total_frames

    def __call__(self) -> None:
        """Set the rates of the next updates; also to be done when a trainer was resumed."""
        progress = min(1.0, self._trainer.collected_frames / self.total_frames)
        factor = 1.0 - progress * (1.0 - self.end_factor)
        for name, rates in self.initial.items():
            for group, lr in zip(self.optimizers[name].param_groups, rates, strict=True):
                group["lr"] = lr * factor

    def register(self, trainer: Trainer, name: str = "anneal_learning_rate") -> None:
        """Anneal after each batch."""
        self._trainer = trainer
        trainer.register_op("post_steps", self)


class LogEpisodeReturn(Stateless):
    """Logs the mean return of the episodes that ended in a batch, and nothing where none did.

    Episodes that a lost connection cut (``("next", "info", "connection_lost")``) are left out: they
    did not end.

    Args:
        scale (float): the return is logged as ``(return + offset) / scale``. Defaults to 1.
        offset (float): see ``scale``. Defaults to 0.
        return_key (NestedKey): return so far, ``[*B, 1]``. Defaults to ``"episode_reward"``.
        logname (str): name of the metric. Defaults to ``"return"``.
    """

    def __init__(
        self,
        scale: float = 1.0,
        offset: float = 0.0,
        return_key: NestedKey = "episode_reward",
        logname: str = "return",
    ) -> None:
        self.scale = scale
        self.offset = offset
        self.return_key = return_key
        self.logname = logname

    def __call__(self, batch: TensorDictBase) -> dict[str, float] | None:
        """Mean over the episodes that ended."""
        done = batch["next", "done"]
        lost = batch.get(("next", "info", "connection_lost"), None)
        if lost is not None:
            done = done & ~lost
        if not done.any():
            return None
        mean = batch["next", self.return_key][done].mean().item()
        return {self.logname: (mean + self.offset) / self.scale, "log_pbar": True}

    def register(self, trainer: Trainer, name: str = "log_episode_return") -> None:
        """Log before the updates of each batch."""
        trainer.register_op("pre_steps_log", self)
