"""The types of a run's config, one dataclass per file of this folder.

A YAML file names its dataclass in its ``defaults`` (``- /QMixConfig@_here_``), so Hydra refuses a
field that the dataclass lacks, and a value of another type, by the field's full name. Values,
units and sources are in the YAML files; here every field is mandatory. Fields are in the order of
the files, which is that of ``config.yaml`` in a run's folder.
"""

from dataclasses import dataclass
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

from torchrl_drigm.config.schema_env import (
    BattlesEnvConfig,
    BuildingEnvConfig,
    CustomEnvConfig,
    EnvConfig,
    EVChargingEnvConfig,
    MachinesEnvConfig,
    OwnEnvConfig,
    SMAXEnvConfig,
    TorchRLEnvConfig,
    ToyEnvConfig,
)
from torchrl_drigm.config.schema_uncertainty import (
    ChiSquaredConfig,
    ContaminationConfig,
    CVaRConfig,
    GroupDRConfig,
    KLConfig,
    OwnSetConfig,
    TotalVariationConfig,
    UncertaintyConfig,
)

__all__ = [
    "AgentConfig",
    "BattlesConfig",
    "BattlesEnvConfig",
    "BuildingConfig",
    "BuildingEnvConfig",
    "CVaRConfig",
    "ChiSquaredConfig",
    "ContaminationConfig",
    "CustomEnvConfig",
    "EVChargingEnvConfig",
    "EnvConfig",
    "GroupDRConfig",
    "KLConfig",
    "MachinesEnvConfig",
    "MixerConfig",
    "OwnEnvConfig",
    "OwnMixerConfig",
    "OwnSetConfig",
    "QMixConfig",
    "QTRANConfig",
    "RecurrentAgentConfig",
    "RunConfig",
    "SMAXEnvConfig",
    "TorchRLConfig",
    "TorchRLEnvConfig",
    "TotalVariationConfig",
    "ToyEnvConfig",
    "UncertaintyConfig",
    "WindowAgentConfig",
]


@dataclass
class AgentConfig:
    """Q-networks of the agents. Every choice also has ``share_params`` and ``agent_id``."""

    core: str = MISSING
    hidden_size: int = MISSING
    recurrent: bool = MISSING
    action_degree: int | None = MISSING


@dataclass
class WindowAgentConfig(AgentConfig):
    """``agent=drqn``: agents on windows of their history."""

    window: int = MISSING
    share_params: bool = MISSING
    agent_id: bool = MISSING


@dataclass
class RecurrentAgentConfig(AgentConfig):
    """``agent=recurrent``: agents that carry their state along the episode."""

    share_params: bool = MISSING
    agent_id: bool = MISSING


@dataclass
class MixerConfig:
    """``mixer=vdn``, and what every mixer has."""

    name: str = MISSING


@dataclass
class QMixConfig(MixerConfig):
    """``mixer=qmix``."""

    embed_dim: int = MISSING
    init_gain: float = MISSING


@dataclass
class QTRANConfig(MixerConfig):
    """``mixer=qtran``."""

    hidden_size: int = MISSING
    lr: float = MISSING
    joint_state: bool = MISSING
    deviation_weight: float | None = MISSING


@dataclass
class OwnMixerConfig(MixerConfig):
    """``mixer=own``: a class of one's own, by its import path in ``name``."""

    options: dict[str, Any] = MISSING


@dataclass
class OptimConfig:
    """Optimizer, loss and updates."""

    name: str = MISSING
    lr: float = MISSING
    lr_end_factor: float = MISSING
    clip_norm: float | None = MISSING
    gamma: float = MISSING
    burn_in: int = MISSING
    lmbda: float | None = MISSING
    double_dqn: bool = MISSING
    updates_per_batch: int = MISSING
    dual_first: bool = MISSING


@dataclass
class ReplayConfig:
    """Replay buffer."""

    size: int = MISSING
    batch_size: int = MISSING
    drop_last: bool = MISSING


@dataclass
class ExplorationConfig:
    """ε-greedy exploration."""

    eps_init: float = MISSING
    eps_end: float = MISSING
    annealing_frames: int = MISSING
    per: str = MISSING


@dataclass
class TargetConfig:
    """Target networks: hard copies (``interval``) or soft ones (``tau``)."""

    interval: int | None = MISSING
    tau: float | None = MISSING


@dataclass
class CollectorConfig:
    """Steps of the environment."""

    frames_per_batch: int = MISSING
    total_frames: int = MISSING
    init_random_frames: int = MISSING


@dataclass
class EvaluationConfig:
    """Evaluation of the team; the fields are the task's."""


@dataclass
class SuiteEvaluationConfig(EvaluationConfig):
    """Episodes in the shifts of a suite, after training."""

    suite: Any = MISSING  # a name, a YAML file or a list of shifts; null for the task's first
    episodes: int = MISSING
    seed: int = MISSING


@dataclass
class BattlesEvaluationConfig(EvaluationConfig):
    """Battles during training, clean and noisy."""

    interval: int = MISSING
    episodes: int = MISSING
    num_envs: int = MISSING
    noise_std: float = MISSING
    visible_only: bool = MISSING
    seed: int = MISSING


@dataclass
class RunConfig:
    """A run."""

    env: EnvConfig = MISSING
    agent: AgentConfig = MISSING
    mixer: MixerConfig = MISSING
    uncertainty: UncertaintyConfig = MISSING
    optim: OptimConfig = MISSING
    replay: ReplayConfig = MISSING
    exploration: ExplorationConfig = MISSING
    target: TargetConfig = MISSING
    collector: CollectorConfig = MISSING
    seed: int = MISSING
    device: str = MISSING
    threads: int = MISSING
    compile: bool = MISSING
    progress_bar: bool = MISSING
    logger: str = MISSING
    log_interval: int = MISSING
    checkpoint_interval: int = MISSING
    resume: str | None = MISSING
    evaluation: EvaluationConfig = MISSING


@dataclass
class BuildingConfig(RunConfig):
    """``building.yaml``."""

    evaluation: SuiteEvaluationConfig = MISSING


@dataclass
class TorchRLConfig(RunConfig):
    """``torchrl.yaml``."""

    evaluation: SuiteEvaluationConfig = MISSING


@dataclass
class BattlesConfig(RunConfig):
    """``battles.yaml``."""

    evaluation: BattlesEvaluationConfig = MISSING
    map_name: str | None = MISSING


# what a YAML file names; the parts of a run without choices come with the run
_OF_FILES = (
    *(BuildingConfig, BattlesConfig, TorchRLConfig),
    *(BuildingEnvConfig, BattlesEnvConfig, SMAXEnvConfig, TorchRLEnvConfig, OwnEnvConfig),
    CustomEnvConfig,
    *(ToyEnvConfig, MachinesEnvConfig, EVChargingEnvConfig),
    *(WindowAgentConfig, RecurrentAgentConfig),
    *(MixerConfig, QMixConfig, QTRANConfig, OwnMixerConfig),
    *(UncertaintyConfig, ContaminationConfig, TotalVariationConfig),
    *(CVaRConfig, KLConfig, ChiSquaredConfig, OwnSetConfig, GroupDRConfig),
)


def register() -> None:
    """Put the dataclasses into Hydra's ``ConfigStore``, by their names and outside of groups."""
    for cls in _OF_FILES:
        ConfigStore.instance().store(cls.__name__, cls, provider="torchrl_drigm")
