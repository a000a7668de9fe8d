"""Cooperative multi-agent environments with one set of keys."""

from torchrl_drigm.envs.libs import (
    BuildingPhysics,
    HeaterFailures,
    NoisyVmasEnv,
    RandomWeather,
    SMACEnv,
    SMACWrapper,
    SMAXEnv,
    SMAXWrapper,
    SustainGymEnv,
    SustainGymWrapper,
)
from torchrl_drigm.envs.toy import DecPOMDPEnv, DronesEnv, HarvestEnv, MachinesEnv

__all__ = [
    "BuildingPhysics",
    "DecPOMDPEnv",
    "DronesEnv",
    "HarvestEnv",
    "HeaterFailures",
    "MachinesEnv",
    "NoisyVmasEnv",
    "RandomWeather",
    "SMACEnv",
    "SMACWrapper",
    "SMAXEnv",
    "SMAXWrapper",
    "SustainGymEnv",
    "SustainGymWrapper",
]
