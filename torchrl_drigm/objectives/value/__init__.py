"""Robust value estimators and the mathematics behind them."""

from torchrl_drigm.objectives.value.robust import (
    ContaminationTD0Estimator,
    RobustTD0Estimator,
    RobustValueEstimators,
    TVTD0Estimator,
)
from torchrl_drigm.objectives.value.robust_functional import (
    contamination_backup,
    tv_backup,
    tv_dual_objective,
    worst_case_expectation,
)
from torchrl_drigm.objectives.value.robust_tdlambda import ContaminationTDLambdaEstimator

__all__ = [
    "ContaminationTD0Estimator",
    "ContaminationTDLambdaEstimator",
    "RobustTD0Estimator",
    "RobustValueEstimators",
    "TVTD0Estimator",
    "contamination_backup",
    "tv_backup",
    "tv_dual_objective",
    "worst_case_expectation",
]
