"""A small run in SMAX, for tests of what is around it."""

import torch

from torchrl_drigm import trainers
from torchrl_drigm.config import compose_config

SMALL = [
    "env.num_envs=4",
    "agent.hidden_size=8",
    "optim.updates_per_batch=2",
    "replay.batch_size=4",
    "replay.size=50",
    "collector.frames_per_batch=64",
    "collector.total_frames=256",
    "exploration.annealing_frames=150",
    "evaluation.interval=100",
    "evaluation.episodes=4",
    "evaluation.num_envs=4",
    "log_interval=10",
    "progress_bar=false",
]


def config(*overrides):
    return compose_config(*SMALL, *overrides, config="battles")


def build(run_dir, *overrides):
    cfg = config(*overrides)
    torch.manual_seed(cfg.seed)
    return trainers.build(cfg, run_dir).trainer


def parameters(trainer):
    return torch.cat([p.detach().flatten() for p in trainer.loss_module.parameters()])
