"""Losses for cooperative multi-agent value factorization."""

from torchrl_drigm.objectives.multiagent._deviations import draw_deviations
from torchrl_drigm.objectives.multiagent.group_dr import GroupRewardLoss
from torchrl_drigm.objectives.multiagent.robust_qmixer import RobustQMixerLoss
from torchrl_drigm.objectives.multiagent.robust_qtran import RobustQTRANLoss

__all__ = ["GroupRewardLoss", "RobustQMixerLoss", "RobustQTRANLoss", "draw_deviations"]
