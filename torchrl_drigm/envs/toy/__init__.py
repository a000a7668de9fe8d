"""Environments whose exact answer is known: any finite Dec-POMDP, and three with a severity."""

from torchrl_drigm.envs.toy.dec_pomdp import DecPOMDPEnv
from torchrl_drigm.envs.toy.severity import DronesEnv, HarvestEnv, MachinesEnv

__all__ = ["DecPOMDPEnv", "DronesEnv", "HarvestEnv", "MachinesEnv"]
