"""Transforms for agents with histories, groups of environments and shifted observations."""

from torchrl_drigm.envs.transforms.group import GroupIndex, WorstGroupReward
from torchrl_drigm.envs.transforms.history import HistoryWindow, NextHistory
from torchrl_drigm.envs.transforms.observation_noise import ObservationNoise
from torchrl_drigm.envs.transforms.previous_action import PreviousAction

__all__ = [
    "GroupIndex",
    "HistoryWindow",
    "NextHistory",
    "ObservationNoise",
    "PreviousAction",
    "WorstGroupReward",
]
