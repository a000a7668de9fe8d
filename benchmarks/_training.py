"""A trainer through the examples' own path: their config, the library's builders."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig
from torchrl.trainers import Trainer

from torchrl_drigm import config
from torchrl_drigm.trainers import build

CONFIGS = {"sustaingym_rqmix": "building", "smac_rqmix": "battles"}


def compose_config(*overrides: str, example: str = "sustaingym_rqmix") -> DictConfig:
    """The config of an example with overrides of its command line."""
    return config.compose_config("progress_bar=false", *overrides, config=CONFIGS[example])


def build_trainer(cfg: DictConfig, run_dir: str | Path) -> Trainer:
    """As the example builds it."""
    return build(cfg, run_dir).trainer


def update(trainer: Trainer) -> None:
    """Once what the trainer does per update: sample, losses, backward, clip, optimizers, target."""
    batch = trainer._process_optim_batch_hook(None)
    trainer.optimization_stepper.step(trainer, batch)
    trainer._post_optim_hook()
