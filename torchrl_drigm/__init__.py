"""Distributionally robust value factorization for cooperative multi-agent RL, in TorchRL."""

__version__ = "0.1.0"
