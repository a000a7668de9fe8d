"""Networks for multi-agent value factorization."""

from torchrl_drigm.modules.models.drqn import DRQN
from torchrl_drigm.modules.models.dual import DualNetwork
from torchrl_drigm.modules.models.joint_action import JointActionEncoder
from torchrl_drigm.modules.models.multiagent_rnn import MultiAgentGRU, MultiAgentLSTM
from torchrl_drigm.modules.models.qmix import QMixer
from torchrl_drigm.modules.models.qtran import QTRANJointValue, QTRANStateValue
from torchrl_drigm.modules.models.recurrent_drqn import RecurrentDRQN
from torchrl_drigm.modules.models.reward_model import GroupRewardModel
from torchrl_drigm.modules.models.stacked import StackedModule, stack_modules

__all__ = [
    "DRQN",
    "DualNetwork",
    "GroupRewardModel",
    "JointActionEncoder",
    "MultiAgentGRU",
    "MultiAgentLSTM",
    "QMixer",
    "QTRANJointValue",
    "QTRANStateValue",
    "RecurrentDRQN",
    "StackedModule",
    "stack_modules",
]
