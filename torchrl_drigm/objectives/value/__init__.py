"""Robust value estimators over uncertainty sets, and their mathematics as plain functions."""

from torchrl_drigm.objectives.value import _deprecated
from torchrl_drigm.objectives.value.named import RobustValueEstimators
from torchrl_drigm.objectives.value.robust import RobustTD0
from torchrl_drigm.objectives.value.robust_functional import (
    contamination_backup,
    tv_backup,
    tv_dual_objective,
    worst_case_expectation,
)
from torchrl_drigm.objectives.value.robust_tdlambda import RobustTDLambda

__all__ = [
    "RobustTD0",
    "RobustTDLambda",
    "RobustValueEstimators",
    "contamination_backup",
    "tv_backup",
    "tv_dual_objective",
    "worst_case_expectation",
]


def __getattr__(name: str):
    return _deprecated.look_up(__name__, name)
