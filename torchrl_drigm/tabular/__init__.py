"""Exact robust Dec-POMDPs, checks of factorizations, and learning against the exact answer."""

import warnings

from torchrl_drigm.tabular.dec_pomdp import DecPOMDP
from torchrl_drigm.tabular.examples import PaperExample, example_1, example_2
from torchrl_drigm.tabular.finite_set import FiniteSet
from torchrl_drigm.tabular.igm import (
    FactorizationCheck,
    check_drigm,
    check_igm,
    check_qtran_condition,
)
from torchrl_drigm.tabular.individual_values import (
    AdditiveDecomposition,
    additive_decomposition,
    anchored_decomposition,
    robust_individual_values,
)
from torchrl_drigm.tabular.learning import (
    LearnedValues,
    numeric_worst_value,
    train_against_exact,
)
from torchrl_drigm.tabular.matrix_games import NON_MONOTONE_GAME, matrix_game
from torchrl_drigm.tabular.policy_evaluation import (
    greedy_joint_actions,
    optimal_values,
    policy_evaluation,
)
from torchrl_drigm.tabular.random_models import random_dec_pomdp
from torchrl_drigm.tabular.representable import representable
from torchrl_drigm.tabular.sampling import sample_transitions
from torchrl_drigm.tabular.toy_models import drones, harvest, machines
from torchrl_drigm.tabular.value_iteration import (
    RobustValues,
    model_under,
    random_kernel,
    robust_bellman,
    robust_value_iteration,
    robust_values,
    worst_case_kernel,
)
from torchrl_drigm.uncertainty import find_set

__all__ = [
    "NON_MONOTONE_GAME",
    "AdditiveDecomposition",
    "DecPOMDP",
    "FactorizationCheck",
    "FiniteSet",
    "LearnedValues",
    "PaperExample",
    "RobustValues",
    "additive_decomposition",
    "anchored_decomposition",
    "check_drigm",
    "check_igm",
    "check_qtran_condition",
    "drones",
    "example_1",
    "example_2",
    "greedy_joint_actions",
    "harvest",
    "machines",
    "matrix_game",
    "model_under",
    "numeric_worst_value",
    "optimal_values",
    "policy_evaluation",
    "random_dec_pomdp",
    "random_kernel",
    "representable",
    "robust_bellman",
    "robust_individual_values",
    "robust_value_iteration",
    "robust_values",
    "sample_transitions",
    "train_against_exact",
    "worst_case_kernel",
]


def _uncertainty_set(kind: str, rho: float = 0.0, worst_value: float | None = None):
    """What ``UncertaintySet(kind, rho, worst_value)`` was: a set by its name."""
    cls = find_set(kind)
    fields = {"rho": rho, "worst_value": worst_value}
    if fields.keys().isdisjoint(cls.field_names()) and not rho:
        fields = {}  # of the nominal kernel both could be given, and meant nothing
    return cls.from_fields(**fields)


def __getattr__(name: str):
    if name != "UncertaintySet":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warnings.warn(
        "tabular.UncertaintySet(kind, rho, worst_value) is deprecated and goes with the next "
        "release: use a set of torchrl_drigm.uncertainty, TotalVariation(rho, worst_value), or "
        "make_set(name, rho=...).",
        DeprecationWarning,
        stacklevel=2,
    )
    return _uncertainty_set
