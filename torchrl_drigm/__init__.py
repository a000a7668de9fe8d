"""Distributionally robust value factorization for cooperative multi-agent RL, in TorchRL."""

from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """``load_team``, imported when it is asked for: the package alone imports no torch."""
    if name == "load_team":
        from torchrl_drigm.trainers import load_team

        return load_team
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
