"""From a config to the environment to train in: the task's, and what the agents need on it.

Every function takes the composed Hydra config (:mod:`torchrl_drigm.config`); field names in the
docstrings are those of the config.
"""

from __future__ import annotations

from omegaconf import DictConfig
from torch import nn
from torchrl.envs import InitTracker, RewardScaling, RewardSum, Transform, TransformedEnv
from torchrl.modules.utils import get_primers_from_module

from torchrl_drigm.config.schema_uncertainty import GROUP_DR
from torchrl_drigm.envs.transforms import HistoryWindow, PreviousAction, WorstGroupReward
from torchrl_drigm.modules import GroupRewardModel
from torchrl_drigm.tasks import Task, make_task

__all__ = ["GROUP_DR", "make_env", "make_memory", "training_task"]


def training_task(cfg: DictConfig) -> Task:
    """The task to train in (``env``); of GroupDR, in its own groups (``uncertainty.climates``).

    Raises:
        ValueError: for an unknown task, or GroupDR in one that has no groups, or with a group that
            is held out.
    """
    task = make_task(cfg)
    return task.with_groups(cfg.uncertainty.climates) if cfg.uncertainty.name == GROUP_DR else task


def make_env(cfg: DictConfig, reward_model: GroupRewardModel | None = None) -> TransformedEnv:
    """Training environment of ``env.name``: ``env.num_envs`` copies, and what the agents need.

    The return of an episode, ``"episode_reward"``, is the environment's own: it is summed before
    GroupDR replaces the reward and before ``env.reward_scale`` applies.

    Args:
        cfg (DictConfig): the composed config.
        reward_model (GroupRewardModel, optional): GroupDR's, of :func:`fit_reward_model`.

    Raises:
        ValueError: for an unknown task, or GroupDR without a reward model of its climates.
    """
    task = training_task(cfg)
    worst_reward = []
    if cfg.uncertainty.name == GROUP_DR:
        n_groups = None if reward_model is None else reward_model.n_groups
        if n_groups != len(task.groups):
            raise ValueError(
                f"uncertainty.name={GROUP_DR!r} needs a reward model of its {len(task.groups)} "
                f"climates, received one of {n_groups}: make_env(cfg, fit_reward_model(cfg, "
                "run_dir))."
            )
        worst_reward.append(WorstGroupReward(reward_model))
    env = task.train_env(cfg.seed)
    for transform in (
        *make_memory(cfg),
        *task.learning_transforms(env),
        RewardSum(),
        *worst_reward,
        RewardScaling(loc=task.reward_loc, scale=task.reward_scale / task.reward_unit),
    ):
        env.append_transform(transform)
    return env


def make_memory(cfg: DictConfig, agents: nn.Module | None = None) -> list[Transform]:
    """What the agents' memory needs on an environment: windows, or the previous action.

    Recurrent ``agents`` also need their first state and flags of first steps there. TorchRL's
    collectors add these by themselves: give ``agents`` only where they act without a collector.
    """
    if not cfg.agent.recurrent:
        return [HistoryWindow(cfg.agent.window)]
    if agents is None:
        return [PreviousAction()]
    return [InitTracker(), PreviousAction(), get_primers_from_module(agents)]
