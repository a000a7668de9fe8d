"""From a config to training environments.

Every function takes the composed Hydra config (:mod:`torchrl_drigm.config`); field names in the
docstrings are those of the config.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from omegaconf import DictConfig
from torch import nn
from torchrl.envs import (
    Compose,
    EnvBase,
    InitTracker,
    ObservationNorm,
    ParallelEnv,
    RewardScaling,
    RewardSum,
    SerialEnv,
    Transform,
    TransformedEnv,
)
from torchrl.modules.utils import get_primers_from_module

from torchrl_drigm.envs import SMACEnv, SMAXEnv, SustainGymEnv
from torchrl_drigm.envs.transforms import (
    HistoryWindow,
    ObservationNoise,
    PreviousAction,
    WorstGroupReward,
)
from torchrl_drigm.evaluation import RETURN_SCALES, get_suite
from torchrl_drigm.modules import GroupRewardModel
from torchrl_drigm.trainers.builders import GROUP_DR, check_choice
from torchrl_drigm.trainers.hooks import LogEpisodeReturn
from torchrl_drigm.trainers.seeds import battle_seeds

__all__ = ["make_battles", "make_env", "make_memory", "make_return_log", "training_climates"]

SIMULATORS = ("building", "smax", "smac")


def training_climates(cfg: DictConfig) -> list[tuple[str, str]]:
    """``env.climates``, or GroupDR's ``uncertainty.climates``, (weather, location) each.

    Raises:
        ValueError: if GroupDR's list has the weather of the held-out climate, env_6 of Table 3.
    """
    if cfg.uncertainty.name != GROUP_DR:
        return [tuple(climate) for climate in cfg.env.climates]
    climates = [tuple(climate) for climate in cfg.uncertainty.climates]
    held_out = get_suite("climate").shifts[-1]
    for climate in climates:
        if climate[0] == held_out.climate[0]:
            raise ValueError(
                f"uncertainty.climates lists {climate}, the weather of {held_out.name}, which is "
                "held out: GroupDR may neither fit rewards nor train there. Leave it out."
            )
    return climates


def make_env(cfg: DictConfig, reward_model: GroupRewardModel | None = None) -> TransformedEnv:
    """Training environment of ``env.name``: ``env.num_envs`` copies, and what the agents need.

    The return of an episode, ``"episode_reward"``, is the environment's own: it is summed before
    GroupDR replaces the reward and before ``env.reward_scale`` applies.

    Args:
        cfg (DictConfig): the composed config.
        reward_model (GroupRewardModel, optional): GroupDR's, of :func:`fit_reward_model`.

    Raises:
        ValueError: for an unknown simulator, or GroupDR without a reward model of its climates.
    """
    if check_choice("env.name", cfg.env.name, SIMULATORS) == "building":
        return _building(cfg, reward_model)
    if cfg.uncertainty.name == GROUP_DR:
        raise ValueError(
            f"uncertainty.name={GROUP_DR!r} is for buildings, whose climates are its groups; "
            f"env.name={cfg.env.name!r} has none."
        )
    env = make_battles(cfg, cfg.env.num_envs, "train", cfg.seed)
    for transform in (*make_memory(cfg), RewardSum(), RewardScaling(0.0, cfg.env.reward_scale)):
        env.append_transform(transform)
    if cfg.env.name == "smax":
        scale = env.state_scale()
        env.append_transform(
            ObservationNorm(torch.zeros_like(scale), scale, ["state"], standard_normal=True)
        )
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


def make_return_log(cfg: DictConfig) -> LogEpisodeReturn:
    """The hook that logs returns: ``normalized_return``, or ``return`` where none is known.

    Buildings have theirs by name (:data:`~torchrl_drigm.evaluation.RETURN_SCALES`); that of battles
    is the return of a perfect one, ``env.return_scale``.
    """
    if cfg.env.name != "building":
        return LogEpisodeReturn(cfg.env.return_scale, logname="normalized_return")
    scale = RETURN_SCALES.get(cfg.env.building)
    if scale is None:
        return LogEpisodeReturn()
    return LogEpisodeReturn(scale, offset=scale, logname="normalized_return")


def make_battles(
    cfg: DictConfig, num_envs: int, purpose: str, seed: int, noise: dict[str, Any] | None = None
) -> TransformedEnv:
    """``num_envs`` StarCraft battles at once: in SMAX, or in as many games of StarCraft II.

    Args:
        cfg (DictConfig): the composed config.
        num_envs (int): number of battles.
        purpose (str): ``"train"`` or ``"test"``: no battle is played for both.
        seed (int): of the battles and of the noise, by :func:`battle_seeds`.
        noise (dict, optional): arguments of the :class:`ObservationNoise` on the observations.
    """
    if cfg.env.name == "smax":
        (seed,) = battle_seeds(purpose, seed)
        env = SMAXEnv(cfg.env.map_name, num_envs=num_envs, seed=seed, device=cfg.device)
        transforms = [] if noise is None else [ObservationNoise(seed=seed, **noise)]
        return TransformedEnv(env, Compose(*transforms))
    seeds = battle_seeds(purpose, seed, n=num_envs)
    games = [partial(_game, cfg.env.map_name, seed, noise) for seed in seeds]
    env = (
        ParallelEnv(num_envs, games, mp_start_method="spawn")
        if num_envs > 1
        else SerialEnv(1, games)
    )
    return TransformedEnv(env, Compose())


def _game(map_name: str, seed: int, noise: dict[str, Any] | None) -> EnvBase:
    """One game of StarCraft II; noise goes here, where the features have their names."""
    env = SMACEnv(map_name, seed=seed)
    return env if noise is None else TransformedEnv(env, ObservationNoise(seed=seed, **noise))


def _building(cfg: DictConfig, reward_model: GroupRewardModel | None) -> TransformedEnv:
    climates = training_climates(cfg)
    worst_reward = []
    if cfg.uncertainty.name == GROUP_DR:
        n_groups = None if reward_model is None else reward_model.n_groups
        if n_groups != len(climates):
            raise ValueError(
                f"uncertainty.name={GROUP_DR!r} needs a reward model of its {len(climates)} "
                f"climates, received one of {n_groups}: make_env(cfg, fit_reward_model(cfg, "
                "run_dir))."
            )
        worst_reward.append(WorstGroupReward(reward_model))
    env = SustainGymEnv(
        "building",
        building=cfg.env.building,
        climates=climates,
        days=tuple(cfg.env.days),
        n_action_levels=cfg.env.n_action_levels,
        num_envs=cfg.env.num_envs,
        wrap_days=cfg.env.wrap_days,
        seed=cfg.seed,
        device=cfg.device,
    )
    loc, scale = (_state_scaling(cfg.env[name], env.n_agents) for name in ("loc", "scale"))
    return TransformedEnv(
        env,
        Compose(
            *make_memory(cfg),
            ObservationNorm(loc, scale, in_keys=["state"], standard_normal=True),
            RewardSum(),
            *worst_reward,
            RewardScaling(loc=cfg.env.reward_loc, scale=cfg.env.reward_scale),
        ),
    )


def _state_scaling(values, n_agents: int) -> torch.Tensor:
    """Numbers per feature of an agent's observation, laid out as the state ``[n_agents + 4]``."""
    own, *shared = values
    return torch.tensor([own] * n_agents + shared, dtype=torch.float32)
