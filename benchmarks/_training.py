"""A trainer through the examples' own path: their config, the library's builders."""

from __future__ import annotations

from pathlib import Path

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig
from torchrl.trainers import Trainer

from torchrl_drigm.trainers import (
    make_agents,
    make_dual,
    make_env,
    make_loss,
    make_mixer,
    make_trainer,
)

CONFIG = Path(__file__).parents[1] / "examples" / "config"


def compose_config(*overrides: str, example: str = "sustaingym_rqmix") -> DictConfig:
    """The config of an example with overrides of its command line."""
    with initialize_config_dir(str(CONFIG), version_base=None):
        return compose(example, overrides=["progress_bar=false", *overrides])


def build_trainer(cfg: DictConfig, run_dir: str | Path) -> Trainer:
    """As the example builds it."""
    env = make_env(cfg)
    agents = make_agents(cfg, env)
    loss = make_loss(cfg, agents, make_mixer(cfg, env), make_dual(cfg, env))
    return make_trainer(cfg, env, agents, loss, run_dir)


def update(trainer: Trainer) -> None:
    """Once what the trainer does per update: sample, losses, backward, clip, optimizers, target."""
    batch = trainer._process_optim_batch_hook(None)
    trainer.optimization_stepper.step(trainer, batch)
    trainer._post_optim_hook()
