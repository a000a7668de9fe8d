"""Transforms of multi-agent environments."""

from torchrl_drigm.envs.transforms.group import GroupIndex, WorstGroupReward
from torchrl_drigm.envs.transforms.history import HistoryWindow

__all__ = ["GroupIndex", "HistoryWindow", "WorstGroupReward"]
