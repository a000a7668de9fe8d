"""Checkpoints that resume a run exactly, and refuse to resume from anything else.

A checkpoint is TorchRL's own (:class:`torchrl.checkpoint.Checkpoint`), in a form that can be
believed (:class:`RunCheckpoint`). To what the trainer registers by itself these parts are added:
the state of the collection (the environments in mid-episode), the global random generators, what is
in the replay buffer, and the config of the run.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torchrl.checkpoint import CheckpointError
from torchrl.collectors import Collector
from torchrl.trainers import Trainer

from torchrl_drigm.trainers.checkpoint_folder import RunCheckpoint, find_checkpoint
from torchrl_drigm.trainers.checkpoint_header import check_header, read_header
from torchrl_drigm.trainers.runs import RUN

__all__ = ["CollectionState", "load_checkpoint"]


class CollectionState:
    """State of a collector and of its environments in mid-episode, as a state dict of tensors.

    TorchRL's ``Collector.state_dict`` holds the transforms of the environment only.

    Args:
        collector (Collector): collector over one (transformed) batched environment.
        mid_episode (bool): whether the environments can be put back into mid-episode. With
            ``False``, those of a game, every environment starts a new episode instead, of
            other random numbers than those it started training with. Default: ``True``.
    """

    def __init__(self, collector: Collector, mid_episode: bool = True) -> None:
        self.collector = collector
        self.mid_episode = mid_episode

    def state_dict(self) -> dict[str, Any]:
        """Counters, the entries carried to the next step, and the environments' own state."""
        collector = self.collector
        if not self.mid_episode:
            return {"collector": collector.state_dict()}
        return {
            "collector": collector.state_dict(),
            "carrier": collector._carrier.flatten_keys(".").to_dict(),
            "env": getattr(collector.env, "base_env", collector.env).state_dict(),
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Put collector and environments back to where they were."""
        collector = self.collector
        collector.load_state_dict(state_dict["collector"])
        if not self.mid_episode:
            collector.env.set_seed(self._seed_after(collector._frames))
            collector.reset()
            return
        carrier, carried = collector._carrier, state_dict["carrier"]
        # what another step left there and this one has not, as a new collector has no action yet
        surplus = set(carrier.flatten_keys(".").keys()) - carried.keys()
        carrier.exclude(*(tuple(key.split(".")) for key in surplus), inplace=True)
        for key, value in carried.items():
            carrier.set(tuple(key.split(".")), value.clone().to(collector.env.device))
        getattr(collector.env, "base_env", collector.env).load_state_dict(state_dict["env"])

    @staticmethod
    def _seed_after(frames: int) -> int:
        """A seed that follows from the run's own and the steps behind it."""
        own = [torch.initial_seed(), frames]
        return int(np.random.SeedSequence(own).generate_state(1)[0] // 2)  # 31 bits, of any library


def load_checkpoint(trainer: Trainer, path: str | Path) -> None:
    """Resume a trainer of :func:`~torchrl_drigm.trainers.make_trainer` from a checkpoint.

    Args:
        trainer (Trainer): a trainer built from the same config as the checkpoint's. It may ask for
            more steps (``collector.total_frames``).
        path (str or Path): a ``checkpoint`` folder of a run.

    Raises:
        FileNotFoundError: if there is nothing at ``path``.
        ValueError: if it is no checkpoint of this package, belongs to another config (the fields
            that differ are listed), is damaged, holds what no run writes, or has more steps
            already than the trainer asks for. The trainer is then as it was before, and nothing
            was written into the folder.
    """
    path = find_checkpoint(path)
    refusal = f"cannot resume from {path}"
    try:
        RunCheckpoint(**{RUN: {}}).load(path, strict="ignore")  # whole, and of a known format
    except CheckpointError as error:
        raise ValueError(f"{refusal}: it is no readable checkpoint ({error}).") from error
    batch = trainer.collector.requested_frames_per_batch
    own = trainer.checkpoint.components[RUN]
    check_header(read_header(path), path, own, trainer.total_frames, batch)
    names = [name for name in trainer.checkpoint.components if name != RUN]
    with tempfile.TemporaryDirectory() as folder:
        before = trainer.checkpoint.save(Path(folder) / "before", components=names)
        try:
            trainer.checkpoint.load(path, components=names)
        except (CheckpointError, ValueError) as error:
            trainer.checkpoint.load(before, components=names)
            raise ValueError(
                f"{refusal}: it is damaged ({error}). The run is as it was before."
            ) from error
    trainer.learning_rates()  # which are of as many steps as there are to be now
