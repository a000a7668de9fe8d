"""The types of the group ``env``, one dataclass per file: a part of the schema.

What is a mapping or null is ``Any``: typed as such, OmegaConf 2.3 lets no null become a mapping.
``check_config`` looks at these.
"""

from dataclasses import dataclass
from typing import Any

from omegaconf import MISSING

__all__ = [
    "BattlesEnvConfig",
    "BuildingEnvConfig",
    "CustomEnvConfig",
    "EVChargingEnvConfig",
    "EnvConfig",
    "MachinesEnvConfig",
    "OwnEnvConfig",
    "SMAXEnvConfig",
    "TorchRLEnvConfig",
    "ToyEnvConfig",
]


@dataclass
class EnvConfig:
    """An environment. Every choice also has ``num_envs``, ``loc``, ``scale``, ``reward_scale``."""

    name: str = MISSING


@dataclass
class BuildingEnvConfig(EnvConfig):
    """``env=building``: SustainGym's buildings."""

    building: str = MISSING
    climates: list[list[str]] = MISSING
    days: list[int] = MISSING
    wrap_days: bool = MISSING
    failures: Any = MISSING  # a mapping or null, as the next one
    random_weather: Any = MISSING
    n_action_levels: int = MISSING
    target: Any = MISSING  # one number, or one for each zone
    max_power: Any = MISSING
    ac_map: Any = MISSING
    reward_beta: float = MISSING
    reward_pnorm: float = MISSING
    time_res: int = MISSING
    ground_temp: Any = MISSING  # null, twelve numbers, or these by location
    U_Wall: list[float] | None = MISSING
    shgc: float = MISSING
    shgc_weight: float = MISSING
    ground_weight: float = MISSING
    full_occ: Any = MISSING
    activity_sch: float = MISSING
    num_envs: int = MISSING
    loc: list[float] = MISSING
    scale: list[float] = MISSING
    reward_scale: float = MISSING
    reward_loc: float = MISSING


@dataclass
class EVChargingEnvConfig(EnvConfig):
    """``env=evcharging``: SustainGym's garages."""

    garages: list[list[str]] = MISSING
    days: list[int] | None = MISSING
    n_action_levels: int = MISSING
    moer_forecast_steps: int = MISSING
    num_envs: int = MISSING
    loc: Any = MISSING  # one number, or one for each feature
    scale: Any = MISSING
    reward_scale: float = MISSING


@dataclass
class BattlesEnvConfig(EnvConfig):
    """``env=smax`` and ``env=smac``: StarCraft battles."""

    map_name: str = MISSING
    action_failure: Any = MISSING  # a mapping or null
    num_envs: int = MISSING
    test_envs: int = MISSING
    loc: float = MISSING
    scale: float = MISSING
    reward_scale: float = MISSING
    return_scale: float = MISSING


@dataclass
class SMAXEnvConfig(BattlesEnvConfig):
    """``env=smax``: battles whose enemies may be made harder."""

    enemy_damage: float = MISSING
    enemy_health: float = MISSING


@dataclass
class TorchRLEnvConfig(EnvConfig):
    """``env=vmas``: environments that TorchRL makes."""

    make: str = MISSING
    kwargs: dict[str, Any] = MISSING
    max_steps: int | None = MISSING
    metrics: dict[str, Any] = MISSING
    action_failure: Any = MISSING  # a mapping or null
    num_envs: int = MISSING
    loc: Any = MISSING  # one number, or one for each feature
    scale: Any = MISSING
    reward_scale: float = MISSING
    return_scale: float | None = MISSING


@dataclass
class CustomEnvConfig(TorchRLEnvConfig):
    """``env=custom``: an environment of one's own, by the import path of what makes it."""

    key_map: Any = MISSING  # a mapping or null
    team_reward: str = MISSING
    team_state: str | None = MISSING
    action_levels: int | None = MISSING


@dataclass
class ToyEnvConfig(EnvConfig):
    """``env=harvest`` and ``env=drones``: small environments with a severity."""

    severity: float = MISSING
    max_steps: int = MISSING
    num_envs: int = MISSING
    loc: float = MISSING
    scale: float = MISSING
    reward_scale: float = MISSING


@dataclass
class MachinesEnvConfig(ToyEnvConfig):
    """``env=machines``."""

    cost_in_reward: bool = MISSING


@dataclass
class OwnEnvConfig(EnvConfig):
    """``env=own``: a class of one's own, by its import path in ``name``."""

    num_envs: int = MISSING
    loc: Any = MISSING  # one number, or one for each feature
    scale: Any = MISSING
    reward_scale: float = MISSING
    options: dict[str, Any] = MISSING
