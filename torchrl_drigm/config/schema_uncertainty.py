"""The types of ``uncertainty``: one dataclass per file of that folder, as in ``schema``."""

from dataclasses import dataclass
from typing import Any

from omegaconf import MISSING

__all__ = [
    "GROUP_DR",
    "CVaRConfig",
    "ChiSquaredConfig",
    "ContaminationConfig",
    "GroupDRConfig",
    "KLConfig",
    "OwnSetConfig",
    "TotalVariationConfig",
    "UncertaintyConfig",
]

GROUP_DR = "group_dr"  # a name that is no set's: nominal training on other rewards


@dataclass
class UncertaintyConfig:
    """``uncertainty=none``, and what every choice has."""

    name: str = MISSING


@dataclass
class ContaminationConfig(UncertaintyConfig):
    """``uncertainty=contamination``."""

    rho: float = MISSING
    worst_value: float | None = MISSING
    joint_with_reward: bool = MISSING


@dataclass
class TotalVariationConfig(ContaminationConfig):
    """``uncertainty=tv``."""

    dual_loss: str = MISSING
    dual_hidden_size: int = MISSING
    dual_lr: float = MISSING


@dataclass
class CVaRConfig(UncertaintyConfig):
    """``uncertainty=cvar``."""

    rho: float = MISSING
    joint_with_reward: bool = MISSING
    dual_hidden_size: int = MISSING
    dual_lr: float = MISSING


@dataclass
class KLConfig(CVaRConfig):
    """``uncertainty=kl``."""


@dataclass
class ChiSquaredConfig(CVaRConfig):
    """``uncertainty=chi2``."""


@dataclass
class OwnSetConfig(TotalVariationConfig):
    """``uncertainty=own``: a set of one's own, by its import path in ``name``."""

    rho: float | None = MISSING
    options: dict[str, Any] = MISSING


@dataclass
class GroupDRConfig(UncertaintyConfig):
    """``uncertainty=group_dr``."""

    climates: list[list[str]] = MISSING
    behaviour_frames: int = MISSING
    episodes: int = MISSING
    epsilon: float = MISSING
    updates: int = MISSING
    batch_size: int = MISSING
    lr: float = MISSING
    hidden_size: int = MISSING
