"""Cooperative multi-agent environments with one set of keys."""

from torchrl_drigm.envs.libs import (
    HeaterFailures,
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
    "RandomWeather",
    "SMACEnv",
    "SMACWrapper",
    "SMAXEnv",
    "SMAXWrapper",
    "SustainGymEnv",
    "SustainGymWrapper",
]
