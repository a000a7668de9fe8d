"""Losses for cooperative multi-agent value factorization."""

from torchrl_drigm.objectives.multiagent.robust_qmixer import RobustQMixerLoss

__all__ = ["RobustQMixerLoss"]
