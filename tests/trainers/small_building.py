"""A small run in a building, for tests of what is around it."""

import torch

from torchrl_drigm import trainers
from torchrl_drigm.config import compose_config

SMALL = [
    "env.num_envs=4",
    "env.n_action_levels=10",
    "agent.hidden_size=8",
    "optim.updates_per_batch=2",
    "replay.batch_size=16",
    "replay.size=2000",
    "collector.frames_per_batch=16",
    "collector.total_frames=1280",
    "collector.init_random_frames=32",
    "exploration.annealing_frames=800",
    "log_interval=100",
    "progress_bar=false",
]
SMALL_GROUP_DR = [
    "uncertainty.climates=[[Hot_Dry,Tucson],[Cool_Marine,Seattle]]",
    "uncertainty.behaviour_frames=160",
    "uncertainty.episodes=2",
    "uncertainty.updates=20",
    "uncertainty.batch_size=32",
    "uncertainty.hidden_size=8",
]


def config(*overrides):
    small = [*SMALL, *(SMALL_GROUP_DR if "uncertainty=group_dr" in overrides else [])]
    return compose_config(*small, *overrides)


def build(run_dir, *overrides, reward_model=None):
    cfg = config(*overrides)
    torch.manual_seed(cfg.seed)
    return trainers.build(cfg, run_dir, reward_model=reward_model).trainer


def parameters(trainer):
    return torch.cat([p.detach().flatten() for p in trainer.loss_module.parameters()])
