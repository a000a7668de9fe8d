"""Modules for distributionally robust value factorization."""

from torchrl_drigm.modules._fast_path import (
    ChosenValue,
    GreedyAndChosen,
    ValueAndOther,
    fast_path_of,
)
from torchrl_drigm.modules.models import (
    DRQN,
    DualNetwork,
    GroupRewardModel,
    JointActionEncoder,
    MultiAgentGRU,
    MultiAgentLSTM,
    QMixer,
    QTRANJointValue,
    QTRANStateValue,
    RecurrentDRQN,
    StackedModule,
    stack_modules,
)

__all__ = [
    "DRQN",
    "ChosenValue",
    "DualNetwork",
    "GreedyAndChosen",
    "GroupRewardModel",
    "JointActionEncoder",
    "MultiAgentGRU",
    "MultiAgentLSTM",
    "QMixer",
    "QTRANJointValue",
    "QTRANStateValue",
    "RecurrentDRQN",
    "StackedModule",
    "ValueAndOther",
    "fast_path_of",
    "stack_modules",
]
