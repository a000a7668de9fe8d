"""Cooperative multi-agent environments with one set of keys."""

from typing import TYPE_CHECKING

from torchrl_drigm._lazy import attach

if TYPE_CHECKING:
    from torchrl_drigm.envs.libs import (
        BuildingParameters,
        BuildingPhysics,
        EVChargingEnv,
        HeaterFailures,
        MultiAgentWrapper,
        NoisyVmasEnv,
        RandomWeather,
        SMACEnv,
        SMACWrapper,
        SMAXEnv,
        SMAXWrapper,
        SustainGymEnv,
        SustainGymWrapper,
    )
    from torchrl_drigm.envs.team_env import team_env
    from torchrl_drigm.envs.toy import DecPOMDPEnv, DronesEnv, HarvestEnv, MachinesEnv

__all__ = [
    "BuildingParameters",
    "BuildingPhysics",
    "DecPOMDPEnv",
    "DronesEnv",
    "EVChargingEnv",
    "HarvestEnv",
    "HeaterFailures",
    "MachinesEnv",
    "MultiAgentWrapper",
    "NoisyVmasEnv",
    "RandomWeather",
    "SMACEnv",
    "SMACWrapper",
    "SMAXEnv",
    "SMAXWrapper",
    "SustainGymEnv",
    "SustainGymWrapper",
    "team_env",
]

__getattr__, __dir__ = attach(__name__, __file__)
