"""Modules for distributionally robust value factorization."""

from torchrl_drigm.modules._fast_path import fast_path_of
from torchrl_drigm.modules.models import (
    DRQN,
    DualNetwork,
    GroupRewardModel,
    JointActionEncoder,
    MultiAgentGRU,
    MultiAgentLSTM,
    QTRANJointValue,
    QTRANStateValue,
    RecurrentDRQN,
)

__all__ = [
    "DRQN",
    "DualNetwork",
    "GroupRewardModel",
    "JointActionEncoder",
    "MultiAgentGRU",
    "MultiAgentLSTM",
    "QTRANJointValue",
    "QTRANStateValue",
    "RecurrentDRQN",
    "fast_path_of",
]
