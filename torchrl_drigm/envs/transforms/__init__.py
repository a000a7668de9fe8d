"""Transforms for histories, teams, groups of environments, shifted observations and actions."""

from torchrl_drigm.envs.transforms.action_failure import ActionFailure
from torchrl_drigm.envs.transforms.group import GroupIndex, WorstGroupReward
from torchrl_drigm.envs.transforms.history import HistoryWindow, NextHistory
from torchrl_drigm.envs.transforms.observation_noise import ObservationNoise
from torchrl_drigm.envs.transforms.previous_action import PreviousAction
from torchrl_drigm.envs.transforms.team import TeamView

__all__ = [
    "ActionFailure",
    "GroupIndex",
    "HistoryWindow",
    "NextHistory",
    "ObservationNoise",
    "PreviousAction",
    "TeamView",
    "WorstGroupReward",
]
