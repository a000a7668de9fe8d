"""Robust losses and value estimators."""

from torchrl_drigm.objectives.multiagent import (
    GroupRewardLoss,
    RobustQMixerLoss,
    RobustQTRANLoss,
    draw_deviations,
)
from torchrl_drigm.objectives.value import RobustValueEstimators

__all__ = [
    "GroupRewardLoss",
    "RobustQMixerLoss",
    "RobustQTRANLoss",
    "RobustValueEstimators",
    "draw_deviations",
]
