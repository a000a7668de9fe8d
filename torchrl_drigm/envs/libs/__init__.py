"""Environments of simulators, each usable where its simulator is installed."""

from torchrl_drigm.envs.libs.smac import SMACEnv, SMACWrapper
from torchrl_drigm.envs.libs.smax import SMAXEnv, SMAXWrapper
from torchrl_drigm.envs.libs.sustaingym import SustainGymEnv, SustainGymWrapper

__all__ = [
    "SMACEnv",
    "SMACWrapper",
    "SMAXEnv",
    "SMAXWrapper",
    "SustainGymEnv",
    "SustainGymWrapper",
]
