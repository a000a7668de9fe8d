"""Where transitions are stored, and what a checkpoint keeps of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from tensordict import TensorDict, TensorDictBase
from tensordict.utils import NestedKey
from torch import Tensor
from torchrl.data import LazyTensorStorage, ReplayBuffer

__all__ = ["ReplayState", "StepStorage"]


class StepStorage(LazyTensorStorage):
    """:class:`torchrl.data.LazyTensorStorage`, which writes and reads in half of the time.

    Places that are given as a tensor, as samplers and writers do, are looked up in each entry as
    they are; indexing a tensordict works out batch sizes and devices for each entry anew.

    Args:
        max_size (int): number of items.
        device (torch.device): where they are stored.

    Examples:
        >>> import torch
        >>> buffer = ReplayBuffer(storage=StepStorage(4), batch_size=2)
        >>> for start in (0.0, 3.0):
        ...     _ = buffer.extend(TensorDict({"a": {"x": torch.arange(3.0) + start}}, [3]))
        >>> buffer[:]["a", "x"], buffer.sample().shape
        (tensor([4., 5., 2., 3.]), torch.Size([2]))
    """

    def get(self, index: Any) -> TensorDictBase:
        """Items at one or many places."""
        if not self._is_plain or not _is_places(index):
            return super().get(index)
        return _items_at(self._storage, index)

    def set(self, cursor: Any, data: TensorDictBase, *, set_cursor: bool = True) -> None:
        """Put items into places."""
        stored = dict(self._storage.items(True, True)) if self._is_plain else {}
        places = set_cursor and _is_places(cursor)
        if not (places and stored and _is_of_kind(data, stored)):
            super().set(cursor, data, set_cursor=set_cursor)
            return
        self._set_last_cursor(cursor)
        self._get_new_len(data, cursor)
        for key, leaf in stored.items():
            value = data.get(key).detach()
            leaf.index_copy_(0, cursor.to(leaf.device), value.to(leaf.device))
        self._bump_mutation_revision()

    @property
    def _is_plain(self) -> bool:
        """Whether there are tensors alone, in a tensordict."""
        return self.initialized and _is_of_tensors(self._storage)


def _is_places(index: Any) -> bool:
    return isinstance(index, Tensor) and index.ndim == 1 and index.dtype == torch.int64


def _is_of_tensors(data: Any) -> bool:
    return isinstance(data, TensorDict) and all(
        type(leaf) is Tensor or _is_of_tensors(leaf) for leaf in data.values()
    )


def _is_of_kind(data: Any, stored: Mapping[NestedKey, Tensor]) -> bool:
    """Whether there is all of what is stored, of the same types, and nothing else."""
    if not isinstance(data, TensorDictBase):
        return False
    found = dict(data.items(True, True))
    return found.keys() == stored.keys() and all(
        isinstance(leaf, Tensor) and leaf.dtype == stored[key].dtype for key, leaf in found.items()
    )


def _items_at(stored: TensorDictBase, index: Tensor) -> TensorDict:
    entries = {
        key: value.index_select(0, index.to(value.device))
        if isinstance(value, Tensor)
        else _items_at(value, index)
        for key, value in stored.items()
    }
    return TensorDict(entries, [len(index), *stored.batch_size[1:]], device=stored.device)


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
