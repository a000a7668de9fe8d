"""Estimators of named sets, in TorchRL's own registry of value estimators."""

from __future__ import annotations

from enum import Enum

from torch import Tensor
from torchrl.objectives.utils import register_value_estimator

from torchrl_drigm.objectives.value._checks import resolve_worst_value
from torchrl_drigm.objectives.value.robust import RobustTD0
from torchrl_drigm.objectives.value.robust_tdlambda import RobustTDLambda
from torchrl_drigm.uncertainty import UncertaintySet
from torchrl_drigm.uncertainty.registry import for_every_named_set

__all__ = ["RobustValueEstimators"]


class RobustValueEstimators(Enum):
    """Robust value estimators, usable wherever TorchRL takes a ``ValueEstimators`` member.

    The lower-case member name is the string alias: ``"contamination_td0"``,
    ``"contamination_tdlambda"``, ``"tv_td0"``, ``"cvar_td0"`` and so on. Every other set with a
    name has the string aliases ``"<name>_td0"`` and ``"<name>_tdlambda"``.

    Examples:
        >>> names = [member.name.lower() for member in RobustValueEstimators]
        >>> [name for name in names if name.endswith("td0")]
        ['contamination_td0', 'tv_td0', 'cvar_td0', 'kl_td0', 'chi2_td0']
    """

    CONTAMINATION_TD0 = "TD(0) over a rho-contamination set"
    CONTAMINATION_TDLAMBDA = "TD(lambda) over a rho-contamination set"
    TV_TD0 = "TD(0) over a total-variation ball, with a learned dual"
    TV_TDLAMBDA = "TD(lambda) over a total-variation ball, with a learned dual"
    CVAR_TD0 = "TD(0) over a bounded density ratio, with a learned dual"
    CVAR_TDLAMBDA = "TD(lambda) over a bounded density ratio, with a learned dual"
    KL_TD0 = "TD(0) over a Kullback-Leibler ball, with two learned duals"
    KL_TDLAMBDA = "TD(lambda) over a Kullback-Leibler ball, with two learned duals"
    CHI2_TD0 = "TD(0) over a chi-squared ball, with two learned duals"
    CHI2_TDLAMBDA = "TD(lambda) over a chi-squared ball, with two learned duals"


class OverANamedSet:
    """Mix into an estimator whose set is given by the hyper-parameters of the estimator.

    These are the set's own, and ``reward_lower_bound`` in place of ``worst_value``, which is then
    ``reward_lower_bound / (1 - gamma)``. A ``worst_value`` that is not given is 0, the paper's
    Assumptions 1 and 2.
    """

    set_cls: type[UncertaintySet]

    def __init__(
        self, *, gamma: float | Tensor, reward_lower_bound: float | None = None, **kwargs
    ) -> None:
        names = self.set_cls.field_names()
        fields = {name: kwargs.pop(name) for name in names if name in kwargs}
        if "worst_value" in names:
            fields["worst_value"] = resolve_worst_value(
                gamma, fields.get("worst_value"), reward_lower_bound
            )
        elif reward_lower_bound is not None:
            raise ValueError(
                f"reward_lower_bound={reward_lower_bound} gives a worst value, and "
                f"{self.set_cls.__name__} has none: its fields are {list(names)}. Leave it out."
            )
        super().__init__(self.set_cls.from_fields(**fields), gamma=gamma, **kwargs)


def register(set_cls: type[UncertaintySet]) -> None:
    """Register ``"<name>_td0"`` and ``"<name>_tdlambda"``."""
    kinds = {
        "td0": (RobustTD0, {"gamma": 0.99}),
        "tdlambda": (RobustTDLambda, {"gamma": 0.99, "lmbda": 0.95}),
    }
    for suffix, (base, defaults) in kinds.items():
        alias = f"{set_cls.name}_{suffix}"
        named = type(
            f"{set_cls.__name__}{base.__name__.removeprefix('Robust')}",
            (OverANamedSet, base),
            {
                "set_cls": set_cls,
                "__module__": __name__,
                "__doc__": f"{base.__name__} over {set_cls.__name__}, ``{alias!r}``.",
            },
        )
        # under its name, so that pickle finds it
        globals()[named.__name__] = named
        # TorchRL finds members by their lower-case names, and strings as they are
        key = getattr(RobustValueEstimators, alias.upper(), alias)
        register_value_estimator(key, default_kwargs={**defaults, "differentiable": True})(named)


for_every_named_set(register)
