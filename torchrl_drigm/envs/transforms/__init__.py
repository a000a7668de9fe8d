"""Transforms of multi-agent environments."""

from torchrl_drigm.envs.transforms.history import HistoryWindow

__all__ = ["HistoryWindow"]
