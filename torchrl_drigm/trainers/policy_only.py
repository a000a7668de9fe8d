"""What is left of a run when nothing but its team is needed any more."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from torch import Tensor

from torchrl_drigm.trainers.checkpoint_folder import RunCheckpoint
from torchrl_drigm.trainers.program_files import policy_folder
from torchrl_drigm.trainers.runs import (
    DURATION,
    RUN,
    claim_run,
    has_ended,
    read_config,
    save_config,
)
from torchrl_drigm.trainers.team import AGENTS, load_team, parameters_of, read_identity

__all__ = ["keep_policy"]


def keep_policy(run_dir: str | Path, out: str | Path | None = None) -> Path:
    """Leave of a run's checkpoint what its team acts with: parameters of its networks, and sizes.

    Replay buffer, optimizers, mixer, dual and target networks go, which are nearly all of its
    bytes. :func:`~torchrl_drigm.trainers.load_team`, and what is built on it, work as before; the
    run cannot be resumed any more. Config, metrics, results and pictures stay as they are.

    Args:
        run_dir (str or Path): folder of the run.
        out (str or Path, optional): a folder for the config and such a checkpoint; the run then
            stays as it is. Default: the run's own folder.

    Returns:
        Path: the folder in which the policy is.

    Raises:
        FileNotFoundError: if the run has no config or no checkpoint.
        ValueError: if the run is damaged, going on, or has not ended, or if ``out`` holds something
            already. Nothing was changed then.
    """
    run_dir = Path(run_dir)
    cfg = read_config(run_dir)
    folder = policy_folder(run_dir, out)
    own = folder == run_dir
    with claim_run(_unresumed(cfg), run_dir) if own else nullcontext():
        team = load_team(run_dir)
        ended = any(has_ended(cfg, run_dir, name) for name in ("evaluation.csv", "win_rates.csv"))
        if own and not ended:
            raise ValueError(
                f"{run_dir} has not made its collector.total_frames={cfg.collector.total_frames} "
                "steps, and without the rest of its checkpoint it could not go on. Let it end "
                f"first, with resume={run_dir / 'checkpoint'}, or name another folder to write the "
                "policy into."
            )
        agents = {f"{AGENTS}{key}": value for key, value in parameters_of(team.agents).items()}
        parts = {"loss_module": _State(agents), RUN: read_identity(run_dir, cfg)}
        RunCheckpoint(**parts).save(folder / "checkpoint")
        if not own:
            save_config(cfg, folder)
            if (run_dir / DURATION).exists():  # which says that all steps were made
                shutil.copy(run_dir / DURATION, folder)
    return folder


def _unresumed(cfg: DictConfig) -> DictConfig:
    """The config of the run in its own folder, wherever it has gone on from."""
    cfg = cfg.copy()
    cfg.resume = None
    return cfg


class _State:
    """A component that is what it is."""

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        self.state = state

    def state_dict(self) -> dict[str, Any]:
        return dict(self.state)

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        self.state = state_dict
