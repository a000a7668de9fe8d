"""Cooperative multi-agent environments with one set of keys."""

from torchrl_drigm.envs.libs import (
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

__all__ = [
    "HeaterFailures",
    "NoisyVmasEnv",
    "RandomWeather",
    "SMACEnv",
    "SMACWrapper",
    "SMAXEnv",
    "SMAXWrapper",
    "SustainGymEnv",
    "SustainGymWrapper",
]
