"""Cooperative multi-agent environments with one set of keys."""

from torchrl_drigm.envs.libs import (
    SMACEnv,
    SMACWrapper,
    SMAXEnv,
    SMAXWrapper,
    SustainGymEnv,
    SustainGymWrapper,
)

__all__ = [
    "SMACEnv",
    "SMACWrapper",
    "SMAXEnv",
    "SMAXWrapper",
    "SustainGymEnv",
    "SustainGymWrapper",
]
