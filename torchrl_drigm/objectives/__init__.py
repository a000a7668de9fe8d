"""Robust losses and value estimators."""

from torchrl_drigm.objectives.multiagent import RobustQMixerLoss, RobustQTRANLoss
from torchrl_drigm.objectives.value import RobustValueEstimators

__all__ = ["RobustQMixerLoss", "RobustQTRANLoss", "RobustValueEstimators"]
