"""Checkpoints that resume a run exactly, and refuse to resume from anything else.

A checkpoint is TorchRL's own (:class:`torchrl.checkpoint.Checkpoint`): written atomically, without
pickle. To what the trainer registers by itself these parts are added: the state of the collection
(the environments in mid-episode), the global random generators, and the config of the run.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from torchrl.checkpoint import Checkpoint, CheckpointError
from torchrl.collectors import Collector
from torchrl.trainers import Trainer

__all__ = ["CollectionState", "load_checkpoint", "locate_run", "run_identity"]

# What must agree between a checkpoint and the run that resumes from it. The length of the run, its
# logger and its folder may differ.
IDENTITY = ("env", "agent", "mixer", "uncertainty", "optim", "replay", "exploration", "target")
RUN = "torchrl_drigm_run"


def run_identity(cfg: DictConfig) -> dict[str, Any]:
    """The part of a config that a checkpoint and the run that resumes from it must share."""
    return {name: OmegaConf.to_container(cfg[name], resolve=True) for name in IDENTITY}


def locate_run(cfg: DictConfig, run_dir: str | Path) -> tuple[Path, Path | None]:
    """The folder of a run, and the checkpoint to go on from.

    A run that resumes from a checkpoint (``resume``) goes on in that checkpoint's folder. One whose
    folder has a checkpoint already, such as a run of a sweep that was stopped, goes on from it.

    Args:
        cfg (DictConfig): the composed config.
        run_dir (str or Path): folder for a new run.

    Returns:
        tuple: the folder, and the checkpoint or ``None``.

    Raises:
        ValueError: if the folder is that of a run of another config or seed.
    """
    if cfg.resume is not None:
        return Path(cfg.resume).parent, Path(cfg.resume)
    run_dir = Path(run_dir)
    if (run_dir / "config.yaml").exists():
        there = OmegaConf.load(run_dir / "config.yaml")
        differing = _differences(
            {**run_identity(there), "seed": there.seed}, {**run_identity(cfg), "seed": cfg.seed}
        )
        if differing:
            raise ValueError(
                f"{run_dir} holds another run. Differing: {'; '.join(differing)}. Name another "
                "folder, or start the sweep with the overrides of the first time."
            )
    checkpoint = run_dir / "checkpoint"
    return run_dir, checkpoint if checkpoint.exists() else None


class CollectionState:
    """State of a collector and of its environments in mid-episode, as a state dict of tensors.

    TorchRL's ``Collector.state_dict`` holds the transforms of the environment only.

    Args:
        collector (Collector): collector over one (transformed) batched environment.
        mid_episode (bool): whether the environments can be put back into mid-episode. With
            ``False``, those of a game, every environment starts a new episode instead.
            Default: ``True``.
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
            collector.reset()
            return
        for key, value in state_dict["carrier"].items():
            collector._carrier.set(tuple(key.split(".")), value.clone().to(collector.env.device))
        getattr(collector.env, "base_env", collector.env).load_state_dict(state_dict["env"])


def load_checkpoint(trainer: Trainer, path: str | Path) -> None:
    """Resume a trainer of :func:`~torchrl_drigm.trainers.make_trainer` from a checkpoint.

    Args:
        trainer (Trainer): a trainer built from the same config as the checkpoint's.
        path (str or Path): a ``checkpoint`` folder of a run.

    Raises:
        FileNotFoundError: if there is nothing at ``path``.
        ValueError: if it is no checkpoint of this package, belongs to another config (the fields
            that differ are listed), or is damaged. The trainer is then as it was before.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"no checkpoint at {path}: name the 'checkpoint' folder of a run.")
    refusal = f"cannot resume from {path}"
    saved: dict[str, Any] = {}
    try:
        components = Checkpoint.manifest(path)["components"]
        if RUN in components:
            Checkpoint(**{RUN: saved}).load(path)
    except Exception as error:
        raise ValueError(f"{refusal}: it is no readable checkpoint ({error}).") from error
    if RUN not in components:
        raise ValueError(f"{refusal}: it is a checkpoint, but not one of a torchrl_drigm run.")
    differing = _differences(saved, trainer.checkpoint.components[RUN])
    if differing:
        raise ValueError(
            f"{refusal}: it belongs to another config. Differing: {'; '.join(differing)}. Resume "
            "with the overrides of the first run, which are in its config.yaml."
        )
    names = [name for name in trainer.checkpoint.components if name != RUN]
    # An empty replay buffer has no storage yet that could be saved.
    empty = len(trainer.replay_buffer) == 0
    kept = [name for name in names if not (empty and name == "replay_buffer")]
    with tempfile.TemporaryDirectory() as folder:
        before = trainer.checkpoint.save(Path(folder) / "before", components=kept)
        try:
            trainer.checkpoint.load(path, components=names)
        except CheckpointError as error:
            trainer.checkpoint.load(before, components=kept)
            if empty:
                trainer.replay_buffer.empty()
            raise ValueError(
                f"{refusal}: it is damaged ({error}). The run is as it was before."
            ) from error


def _differences(saved: Any, current: Any, field: str = "") -> list[str]:
    if isinstance(saved, Mapping) and isinstance(current, Mapping):
        differing = []
        for key in sorted({*saved, *current}):
            name = f"{field}.{key}" if field else str(key)
            differing += _differences(saved.get(key), current.get(key), name)
        return differing
    return [] if saved == current else [f"{field}: {saved!r} there, {current!r} here"]
