"""Networks for multi-agent value factorization."""

from torchrl_drigm.modules.models.drqn import DRQN
from torchrl_drigm.modules.models.dual import DualNetwork
from torchrl_drigm.modules.models.multiagent_rnn import MultiAgentGRU, MultiAgentLSTM

__all__ = ["DRQN", "DualNetwork", "MultiAgentGRU", "MultiAgentLSTM"]
