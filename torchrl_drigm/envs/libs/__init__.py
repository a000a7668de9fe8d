"""Environments of simulators, each usable where its simulator is installed."""

from typing import TYPE_CHECKING

from torchrl_drigm._lazy import attach

if TYPE_CHECKING:
    from torchrl_drigm.envs.libs.agents import MultiAgentWrapper
    from torchrl_drigm.envs.libs.evcharging import EVChargingEnv
    from torchrl_drigm.envs.libs.smac import SMACEnv, SMACWrapper
    from torchrl_drigm.envs.libs.smax import SMAXEnv, SMAXWrapper
    from torchrl_drigm.envs.libs.sustaingym import (
        BuildingParameters,
        BuildingPhysics,
        HeaterFailures,
        RandomWeather,
        SustainGymEnv,
        SustainGymWrapper,
    )
    from torchrl_drigm.envs.libs.vmas import NoisyVmasEnv

__all__ = [
    "BuildingParameters",
    "BuildingPhysics",
    "EVChargingEnv",
    "HeaterFailures",
    "MultiAgentWrapper",
    "NoisyVmasEnv",
    "RandomWeather",
    "SMACEnv",
    "SMACWrapper",
    "SMAXEnv",
    "SMAXWrapper",
    "SustainGymEnv",
    "SustainGymWrapper",
]

__getattr__, __dir__ = attach(__name__, __file__)
