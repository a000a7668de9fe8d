"""Environments of other libraries; none of those libraries is needed for the import."""

from torchrl_drigm.envs.libs.sustaingym import SustainGymEnv, SustainGymWrapper

__all__ = ["SustainGymEnv", "SustainGymWrapper"]
