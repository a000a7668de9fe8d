"""Modules for distributionally robust value factorization."""

from torchrl_drigm.modules.models import DRQN, DualNetwork, MultiAgentGRU, MultiAgentLSTM

__all__ = ["DRQN", "DualNetwork", "MultiAgentGRU", "MultiAgentLSTM"]
