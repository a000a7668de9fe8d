"""Names of before, for one release."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

from torch import Tensor

from torchrl_drigm.objectives.value import named
from torchrl_drigm.objectives.value._checks import resolve_worst_value
from torchrl_drigm.objectives.value.robust import RobustTD0
from torchrl_drigm.uncertainty import UncertaintySet


@dataclass(frozen=True)
class _Fields(UncertaintySet):
    """The hyper-parameters of an estimator that is its own set."""

    rho: float = 0.0
    worst_value: float | None = None

    def backup(self, next_value: Tensor, dual_value: Tensor | None = None) -> Tensor:
        return next_value  # the estimator's robust_value stands in for it


class RobustTD0Estimator(RobustTD0):
    """A one-step estimator that is its own set: deprecated, write an ``UncertaintySet``.

    A subclass gives ``robust_value``, and where its set has a dual sets ``has_dual = True`` and
    gives ``dual_objective``.
    """

    has_dual = False

    def __init__(
        self,
        *,
        gamma: float | Tensor,
        rho: float = 0.0,
        worst_value: float | None = None,
        reward_lower_bound: float | None = None,
        **kwargs,
    ) -> None:
        worst_value = resolve_worst_value(gamma, worst_value, reward_lower_bound)
        super().__init__(_Fields(rho, worst_value), gamma=gamma, **kwargs)

    @property
    def n_duals(self) -> int:
        """1 where the set has a dual."""
        return int(self.has_dual)

    def robust_value(self, next_value: Tensor, dual_value: Tensor | None = None) -> Tensor:
        """Worst case per sample, of the shape of ``next_value``."""
        raise NotImplementedError


# old name: what it was, and what to write
NAMES = {
    "ContaminationTD0Estimator": (
        lambda: named.ContaminationTD0,
        "RobustTD0(Contamination(rho, worst_value), gamma=...)",
    ),
    "ContaminationTDLambdaEstimator": (
        lambda: named.ContaminationTDLambda,
        "RobustTDLambda(Contamination(rho, worst_value), gamma=..., lmbda=...)",
    ),
    "TVTD0Estimator": (
        lambda: named.TotalVariationTD0,
        "RobustTD0(TotalVariation(rho, worst_value), gamma=...)",
    ),
    "RobustTD0Estimator": (
        lambda: RobustTD0Estimator,
        "a subclass of torchrl_drigm.uncertainty.UncertaintySet, in RobustTD0",
    ),
}


def look_up(module: str, name: str):
    """For the ``__getattr__`` of a module: what an old name stands for, with a warning."""
    if name not in NAMES:
        raise AttributeError(f"module {module!r} has no attribute {name!r}")
    old, new = NAMES[name]
    warnings.warn(
        f"{name} is deprecated and goes with the next release: use {new}.",
        DeprecationWarning,
        stacklevel=3,
    )
    return old()
