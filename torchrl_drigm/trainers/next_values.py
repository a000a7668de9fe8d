"""Values of the next steps, kept with the transitions for as long as target networks stay the same.

All of the training side: when it pays (:func:`keeps_next_value`), what the replay buffer then
leaves out, the hook that computes the values, and when it runs. The loss takes a kept value where
it finds one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from omegaconf import DictConfig
from tensordict import TensorDictBase
from tensordict.utils import NestedKey, unravel_key
from torchrl.data import ReplayBuffer
from torchrl.envs import Compose, ExcludeTransform, Transform
from torchrl.objectives import HardUpdate, LossModule
from torchrl.objectives.utils import TargetNetUpdater
from torchrl.trainers import (
    ReplayBufferTrainer,
    TargetNetUpdaterHook,
    Trainer,
    TrainerHookBase,
)

from torchrl_drigm.envs.transforms import NextHistory
from torchrl_drigm.envs.transforms.history import HISTORY
from torchrl_drigm.objectives import draw_deviations
from torchrl_drigm.trainers.sizes import ACTION, OBSERVATION

__all__ = [
    "KeepNextValue",
    "keeps_next_value",
    "leave_out_of_windows",
    "next_history",
    "register_replay",
]


def keeps_next_value(cfg: DictConfig) -> bool:
    """Whether the next value of a transition stays the same for long enough to be stored."""
    if cfg.target.interval is None or cfg.optim.double_dqn or cfg.agent.recurrent:
        return False
    # renewing the whole replay buffer after a copy is to cost less than what sampling would
    return cfg.replay.size < cfg.target.interval * cfg.replay.batch_size / 4


def leave_out_of_windows(
    cfg: DictConfig, keys: Sequence[NestedKey], read: Sequence[NestedKey]
) -> Transform:
    """Transform of a replay buffer of windows, without ``keys`` and what follows from the rest.

    What somebody reads (``read``), such as a mixer, stays.

    The next windows are made from the windows when a batch is sampled, or not at all where their
    value is kept.
    """
    # agents learn from their windows, which have the observations
    keys = [*keys, OBSERVATION, "is_init", "done", "terminated", "truncated", ("next", "truncated")]
    keys = [key for key in keys if key not in read]
    if keeps_next_value(cfg):
        return ExcludeTransform(*keys, *(("next", *key) for key in HISTORY), inverse=True)
    return Compose(ExcludeTransform(*keys, inverse=True), next_history())


def register_replay(
    cfg: DictConfig,
    trainer: Trainer,
    loss: LossModule,
    replay: ReplayBufferTrainer,
    target_updater: TargetNetUpdater,
) -> None:
    """Let batches be stored and sampled, target networks follow, and kept values follow both.

    One function, as the order counts: a kept value is there before its transition is stored, and
    is renewed after a copy of the target networks.
    """
    trainer.register_op("post_optim", TargetNetUpdaterHook(target_updater))
    if keeps_next_value(cfg):
        keep = KeepNextValue(loss, replay.replay_buffer, target_updater, next_history())
        keep.register(trainer)
    drop_last = cfg.replay.get("drop_last", False)
    trainer.register_op("batch_process", partial(_store, replay, drop_last))
    trainer.register_op("process_optim_batch", replay.sample)
    if getattr(loss, "deviation_weight", None) is not None:
        trainer.register_op("process_optim_batch", partial(draw_deviations_into, loss))


def draw_deviations_into(loss: LossModule, batch: TensorDictBase) -> TensorDictBase:
    """Draw what QTRAN compares at, as its loss would: before the loss, which may be compiled."""
    keys = loss.tensor_keys
    action = batch.get(keys.action)
    return batch.set(keys.deviation, draw_deviations(action.shape, action.device))


def _store(replay: ReplayBufferTrainer, drop_last: bool, batch: TensorDictBase) -> None:
    """Put a batch into the replay buffer, also what is collected before the first update.

    As ``replay.extend`` does, without a detour over the CPU, which copies more than the buffer.
    With ``drop_last`` without the steps that end an episode.
    """
    if replay.flatten_tensordicts:
        mask = batch.get(("collector", "mask"), None)
        batch = batch.reshape(-1) if mask is None else batch[mask]
        if drop_last:
            batch = batch[~batch["next", "done"].squeeze(-1)]
            if not len(batch):
                return
    replay.replay_buffer.extend(batch)


def next_history() -> NextHistory:
    """What a replay buffer of windows leaves out, and makes from the rest."""
    return NextHistory(OBSERVATION, ACTION)


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
