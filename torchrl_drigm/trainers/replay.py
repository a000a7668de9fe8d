"""What a checkpoint keeps of a replay buffer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tensordict import TensorDict, TensorDictBase
from torchrl.data import ReplayBuffer

__all__ = ["ReplayState"]


class ReplayState:
    """The items in a replay buffer, and where the next one goes, as a state dict of tensors.

    TorchRL's ``ReplayBuffer.dump`` writes the whole capacity of a ``LazyTensorStorage``, however
    little is in it, and a pickle.

    Args:
        replay_buffer (ReplayBuffer): a buffer over a tensor storage, which samples at random and
            with replacement: its sampler has no state.

    Examples:
        >>> import torch
        >>> from torchrl.data import LazyTensorStorage
        >>> buffers = [ReplayBuffer(storage=LazyTensorStorage(4)) for _ in range(2)]
        >>> _ = buffers[0].extend(TensorDict({"reward": torch.arange(6.0)}, [6]))
        >>> state = ReplayState(buffers[0]).state_dict()
        >>> ReplayState(buffers[1]).load_state_dict(state)
        >>> buffers[1].add(TensorDict({"reward": 6.0}))  # the oldest one makes room
        2
        >>> buffers[1][:]["reward"]
        tensor([4., 5., 6., 3.])
    """

    def __init__(self, replay_buffer: ReplayBuffer) -> None:
        self.replay_buffer = replay_buffer

    def state_dict(self) -> dict[str, Any]:
        """Entries ``[filled, ...]``, batch sizes of an item, and the writer's place."""
        buffer = self.replay_buffer
        state = {"items": {}, "batch_size": [], "nested": {}, "writer": buffer.writer.state_dict()}
        if len(buffer):
            # of the storage itself, since the buffer's transforms add to what it gives
            stored = buffer.storage[: len(buffer)]
            state["items"] = stored.flatten_keys(".").to_dict()
            state["batch_size"] = list(stored.batch_size[1:])
            state["nested"] = {
                key if isinstance(key, str) else ".".join(key): list(value.batch_size[1:])
                for key, value in stored.items(include_nested=True)
                if isinstance(value, TensorDictBase)
            }
        return state

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Fill the buffer with what another one held, in the same places."""
        buffer, items = self.replay_buffer, state_dict["items"]
        buffer.empty()
        if items:
            filled = len(next(iter(items.values())))
            stored = TensorDict(batch_size=[filled, *state_dict["batch_size"]])
            for key, batch_size in state_dict["nested"].items():  # the outer ones come first
                stored[tuple(key.split("."))] = TensorDict(batch_size=[filled, *batch_size])
            for key, value in items.items():
                stored[tuple(key.split("."))] = value
            buffer.storage.set(slice(0, filled), stored.to(buffer.storage.device))
        buffer.writer.load_state_dict(state_dict["writer"])
