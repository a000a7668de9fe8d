"""Environments with one key layout: agents' observations, a state and a team reward."""

from torchrl_drigm.envs.libs import SustainGymEnv, SustainGymWrapper

__all__ = ["SustainGymEnv", "SustainGymWrapper"]
