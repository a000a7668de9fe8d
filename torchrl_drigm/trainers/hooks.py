"""Hooks of TorchRL's ``Trainer``: exploration, values kept for the replay buffer, returns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tensordict import TensorDictBase
from tensordict.utils import NestedKey, unravel_key
from torchrl.data import ReplayBuffer
from torchrl.modules import EGreedyModule
from torchrl.objectives import HardUpdate, LossModule
from torchrl.trainers import Trainer, TrainerHookBase

__all__ = ["AnnealEpsilon", "KeepNextValue", "LogEpisodeReturn"]


class KeepNextValue(TrainerHookBase):
    """Stores with every transition the team value of its next step under the target networks.

    It changes with a hard copy only, and a transition is sampled many times in between: computed
    when the transition enters the replay buffer, and for the whole buffer after a copy, it costs a
    fraction of what the loss would pay for it at every sampling.

    Args:
        loss (LossModule): a loss with ``next_team_value``.
        replay_buffer (ReplayBuffer): of single transitions.
        target_updater (HardUpdate): what copies the target networks.
        complete (callable, optional): adds to stored transitions what the value needs and the
            buffer leaves out, as updates do without. Default: nothing.
    """

    chunk = 512  # transitions at once when the whole buffer is renewed

    def __init__(
        self,
        loss: LossModule,
        replay_buffer: ReplayBuffer,
        target_updater: HardUpdate,
        complete: Callable[[TensorDictBase], TensorDictBase] = lambda steps: steps,
    ) -> None:
        self.loss = loss
        self.replay_buffer = replay_buffer
        self.target_updater = target_updater
        self.complete = complete

    def __call__(self, batch: TensorDictBase) -> TensorDictBase:
        """Write the values of new transitions."""
        value = self.loss.next_team_value(batch)
        return batch.set(self._key, value, inplace=self._key in batch.keys(True))

    def renew(self) -> None:
        """Compute the stored values anew, if the target networks have just been copied."""
        if self.target_updater.counter != 0:
            return
        storage = self.replay_buffer.storage
        for first in range(0, len(storage), self.chunk):
            chunk = slice(first, min(first + self.chunk, len(storage)))
            # a slice of the storage is a view of it, where the buffer's own may be a copy
            steps = self.complete(self.replay_buffer[chunk])
            storage[chunk].set(self._key, self.loss.next_team_value(steps), inplace=True)

    @property
    def _key(self) -> NestedKey:
        return unravel_key(("next", self.loss.tensor_keys.team_value))

    def state_dict(self) -> dict[str, Any]:
        """Nothing to keep: the values are in the replay buffer, which is kept."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing to restore."""

    def register(self, trainer: Trainer, name: str = "keep_next_value") -> None:
        """After collection, before the replay buffer's hook; after the target updater's hook."""
        trainer.register_op("batch_process", self)
        trainer.register_op("post_optim", self.renew)


class AnnealEpsilon(TrainerHookBase):
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

    def state_dict(self) -> dict[str, Any]:
        """Nothing to keep: ε follows from the frame count."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing to restore."""

    def register(self, trainer: Trainer, name: str = "anneal_epsilon") -> None:
        """Anneal after each batch, log before."""
        self._trainer = trainer
        trainer.register_op("post_steps", self)
        trainer.register_op("pre_steps_log", self.log)


class LogEpisodeReturn(TrainerHookBase):
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

    def state_dict(self) -> dict[str, Any]:
        """Nothing to keep."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing to restore."""

    def register(self, trainer: Trainer, name: str = "log_episode_return") -> None:
        """Log before the updates of each batch."""
        trainer.register_op("pre_steps_log", self)
