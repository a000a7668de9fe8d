"""From a config to a ready TorchRL ``Trainer``."""

from torchrl_drigm.trainers.builders import (
    make_agents,
    make_dual,
    make_env,
    make_loss,
    make_mixer,
    make_trainer,
)
from torchrl_drigm.trainers.checkpoint import CollectionState, load_checkpoint
from torchrl_drigm.trainers.group_dr import fit_reward_model
from torchrl_drigm.trainers.hooks import AnnealEpsilon, LogEpisodeReturn, PerPartStepper

__all__ = [
    "AnnealEpsilon",
    "CollectionState",
    "LogEpisodeReturn",
    "PerPartStepper",
    "fit_reward_model",
    "load_checkpoint",
    "make_agents",
    "make_dual",
    "make_env",
    "make_loss",
    "make_mixer",
    "make_trainer",
]
