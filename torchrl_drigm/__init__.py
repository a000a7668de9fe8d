"""Distributionally robust value factorization for cooperative multi-agent RL, as TorchRL-native parts."""

__version__ = "0.1.0"
