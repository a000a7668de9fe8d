"""The transitions of several runs, each of which samples by itself.

Axes: ``R`` runs, ``N`` transitions at once, ``B`` batch.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from tensordict import TensorDict, TensorDictBase
from torchrl.objectives import HardUpdate, LossModule

from torchrl_drigm.objectives import draw_deviations
from torchrl_drigm.trainers.build import Run
from torchrl_drigm.trainers.next_values import KeepNextValue, next_history
from torchrl_drigm.trainers.sizes import ACTION
from torchrl_drigm.trainers.stack.randomness import Streams

__all__ = ["StackedReplay"]


class StackedReplay:
    """Replay buffers of several runs as one block, in which each has a part of its own.

    Args:
        runs (sequence of Run): with buffers of the same size that hold as much.
        streams (Streams): the runs' random numbers.
    """

    def __init__(self, runs: Sequence[Run], streams: Streams) -> None:
        self.buffers = [run.trainer.replay_buffer for run in runs]
        self.streams = streams
        self.drop_last = runs[0].cfg.replay.get("drop_last", False)
        loss = runs[0].loss
        deviates = getattr(loss, "deviation_weight", None) is not None
        self.deviation_key = loss.tensor_keys.deviation if deviates else None
        first = self.buffers[0]
        self.size, self.batch_size = first.storage.max_size, first._batch_size
        self.transform, self.device = first._transform, first.storage.device
        self.filled, self.cursor = len(first), first.writer._cursor
        self.steps: TensorDict | None = None  # [R, size]
        if self.filled:
            self._reserve(torch.stack([buffer.storage[: self.filled] for buffer in self.buffers]))
            self.hand_over()  # so that nothing is held twice

    def extend(self, batch: TensorDictBase) -> None:
        """Store a batch ``[R, N]``, in the place of the oldest transitions where there is no other.

        Raises:
            ValueError: for more transitions than the buffers have places, or where the last steps
                of episodes are to be left out, episodes that do not end together in all runs.
        """
        if self.drop_last:
            batch = self._without_last(batch)
        batch = self.transform.inv(batch).to(self.device)
        n = batch.shape[1]
        if n > self.size:
            raise ValueError(
                f"replay.size={self.size} must hold a batch of collector.frames_per_batch={n}."
            )
        if self.steps is None:
            self._reserve(batch[:, :0])
        end = min(self.cursor + n, self.size)
        self.steps[:, self.cursor : end].update_(batch[:, : end - self.cursor])
        if end - self.cursor < n:
            self.steps[:, : n - (end - self.cursor)].update_(batch[:, end - self.cursor :])
        self.cursor = (self.cursor + n) % self.size
        self.filled = min(self.filled + n, self.size)

    def _without_last(self, batch: TensorDictBase) -> TensorDictBase:
        """Without the steps that end an episode, of which each run must have the same ones."""
        ends = batch["next", "done"].squeeze(-1)  # [R, N]
        if (ends != ends[:1]).any():
            raise ValueError(
                "replay.drop_last=true: the episodes of these runs do not end together, so that "
                "their replay buffers would no longer hold as much, as those of a stack do. Train "
                "them side by side in processes, -m hydra/launcher=joblib seed=0,1,2, or set "
                "replay.drop_last=false."
            )
        return batch[:, ~ends[0]]

    def sample(self) -> TensorDictBase:
        """A batch ``[R, B]``, drawn for each run as if it were alone."""
        rows, deviations = [], []
        for run in range(len(self.buffers)):
            with self.streams.of(run):
                rows.append(torch.randint(0, self.filled, (self.batch_size,)) + run * self.size)
                if self.deviation_key is not None:
                    shape = (self.batch_size, *self.steps[ACTION].shape[2:])
                    deviations.append(draw_deviations(shape))
        rows = torch.cat(rows).to(self.device)
        shape = (len(self.buffers), self.batch_size)
        batch = self.steps.apply(
            lambda leaf: leaf.flatten(0, 1).index_select(0, rows).unflatten(0, shape),
            batch_size=shape,
        )
        batch = self.transform(batch)
        if deviations:
            batch.set(self.deviation_key, torch.stack(deviations).to(self.device))
        return batch

    def _reserve(self, steps: TensorDictBase) -> None:
        """Places for all transitions, of which ``steps`` ``[R, filled]`` are the first."""
        self.steps = steps.to(self.device).new_empty(len(self.buffers), self.size)
        self.steps[:, : steps.shape[1]].update_(steps)

    def hand_over(self) -> None:
        """Let the runs' buffers hold what theirs is, as views."""
        for run, buffer in enumerate(self.buffers):
            if self.steps is not None:
                buffer.storage._storage = self.steps[run]
                buffer.storage.initialized = True
                buffer.storage._len = self.filled
            buffer.writer._cursor = self.cursor


class KeepNextValues(KeepNextValue):
    """Values of the next steps in stacked buffers, as :class:`KeepNextValue` keeps them in one."""

    def __init__(self, loss: LossModule, replay: StackedReplay, updater: HardUpdate) -> None:
        super().__init__(loss, None, updater, next_history())
        self.replay = replay

    def renew(self) -> None:
        """Compute all of them anew, if the target networks have just been copied."""
        if self.target_updater.counter != 0:
            return
        for first in range(0, self.replay.filled, self.chunk):
            chunk = self.replay.steps[:, first : min(first + self.chunk, self.replay.filled)]
            value = self.loss.next_team_value(self.complete(chunk))
            chunk.set(self._key, value, inplace=True)
