"""A set for each of several runs that learn at once.

Axes: ``R`` runs, ``*B`` batch.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from torchrl_drigm.uncertainty.base import UncertaintySet

__all__ = ["SetPerRun"]


class SetPerRun(UncertaintySet):
    """Sets of several runs as one: the r-th along the first dimension of what is backed up.

    Only what learning asks for; neighbours that are equal are computed in one go.

    Args:
        sets (sequence of UncertaintySet): of one number of duals, and all over the next value or
            all joint with the reward.

    Raises:
        ValueError: if they do not fit together.

    Examples:
        >>> from torchrl_drigm.uncertainty import Contamination
        >>> sets = SetPerRun([Contamination(rho=0.0, worst_value=0.0), Contamination(0.5, 0.0)])
        >>> sets.backup(torch.ones(2, 3, 1)).squeeze(-1)
        tensor([[1.0000, 1.0000, 1.0000],
                [0.5000, 0.5000, 0.5000]])
    """

    def __init__(self, sets: Sequence[UncertaintySet]) -> None:
        self.__dict__["sets"] = tuple(sets)
        for name in ("n_duals", "dual_follows_value", "joint_with_reward"):
            values = list(dict.fromkeys(getattr(one, name) for one in sets))
            if len(values) > 1:
                raise ValueError(
                    f"runs whose sets differ in {name}, such as {sets[0]!r} and "
                    f"{next(one for one in sets if getattr(one, name) != values[0])!r}, cannot "
                    "learn at once."
                )
            self.__dict__[name] = values[0]
        self.__dict__["_groups"] = [
            (one, len(list(same))) for one, same in itertools.groupby(self.sets)
        ]

    def __repr__(self) -> str:
        """One after the other."""
        return f"SetPerRun({list(self.sets)!r})"

    def _each(self, method: str, next_value: Tensor, dual_value: Tensor | None) -> Tensor:
        sizes = [size for _, size in self._groups]
        if next_value.shape[0] != len(self.sets):
            raise ValueError(
                f"next_value must have the {len(self.sets)} runs first, got shape "
                f"{tuple(next_value.shape)}."
            )
        values = next_value.split(sizes)
        duals = [None] * len(sizes) if dual_value is None else dual_value.split(sizes)
        calls: list[Callable[..., Tensor]] = [getattr(one, method) for one, _ in self._groups]
        found = [call(*args) for call, *args in zip(calls, values, duals, strict=True)]
        return found[0] if len(found) == 1 else torch.cat(found)

    def backup(self, next_value: Tensor, dual_value: Tensor | None = None) -> Tensor:
        """Each run's own, ``[R, *B, 1]``."""
        return self._each("backup", next_value, dual_value)

    def slope(self, next_value: Tensor, dual_value: Tensor | None = None) -> Tensor:
        """Each run's own, ``[R, *B, 1]``."""
        return self._each("slope", next_value, dual_value)

    def dual_objective(self, next_value: Tensor, dual_value: Tensor) -> Tensor:
        """Each run's own, ``[R, *B, 1]``."""
        return self._each("dual_objective", next_value, dual_value)
