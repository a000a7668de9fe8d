"""Transforms for histories, teams, groups of environments, shifted observations and actions."""

from torchrl_drigm.envs.transforms.action_delay import ActionDelay
from torchrl_drigm.envs.transforms.action_failure import ActionFailure
from torchrl_drigm.envs.transforms.dropped_reading import DroppedReading
from torchrl_drigm.envs.transforms.group import GroupIndex, WorstGroupReward
from torchrl_drigm.envs.transforms.history import HistoryWindow, NextHistory
from torchrl_drigm.envs.transforms.observation_noise import ObservationNoise
from torchrl_drigm.envs.transforms.previous_action import PreviousAction
from torchrl_drigm.envs.transforms.stuck_action import StuckAction
from torchrl_drigm.envs.transforms.team import TeamView

__all__ = [
    "ActionDelay",
    "ActionFailure",
    "DroppedReading",
    "GroupIndex",
    "HistoryWindow",
    "NextHistory",
    "ObservationNoise",
    "PreviousAction",
    "StuckAction",
    "TeamView",
    "WorstGroupReward",
]
