"""Cooperative multi-agent environments with one set of keys."""

from torchrl_drigm.envs.libs import SMAXEnv, SMAXWrapper, SustainGymEnv, SustainGymWrapper

__all__ = ["SMAXEnv", "SMAXWrapper", "SustainGymEnv", "SustainGymWrapper"]
