"""Uncertainty sets of transition kernels: what the adversary may choose from.

A set works on the rows of a kernel, ``[..., S']``, and on the values of the next states, ``[S']``.
What :func:`~torchrl_drigm.tabular.robust_value_iteration` needs of one is ``rectangular``,
``worst_value``, ``expectation`` and ``worst_kernel``; any object with these is a set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from torchrl_drigm.objectives.value._checks import check_worst_value
from torchrl_drigm.objectives.value.robust_functional import check_rho, worst_case_expectation
from torchrl_drigm.tabular.dec_pomdp import check_kernel

__all__ = ["FiniteSet", "UncertaintySet"]

KINDS = ("none", "contamination", "tv")


@dataclass(frozen=True)
class UncertaintySet:
    r"""A set around the nominal kernel, one ball per state and joint action (Eq. 1, 7, 9).

    - ``"none"``: the nominal kernel alone.
    - ``"contamination"``: :math:`(1 - \rho) P^0 + \rho \nu` (Eq. 7).
    - ``"tv"``: :math:`\mathrm{TV}(P, P^0) \le \rho` (Eq. 9).

    ``worst_value`` says where the mass may go:

    - ``None``: to any state of the model, those of nominal probability 0 included. These are
      Eq. 7 and 9 as they stand; the worst value is the smallest robust state value.
    - a number ``v``: to a fail state of value ``v`` outside the model, and only there (see
      :meth:`DecPOMDP.with_fail_state`). This is the operator that the losses train on. It is
      Eq. 7 and 9 on the enlarged state space where no state's robust value is below ``v``.
      Otherwise total variation leaves mass alone whose outcome is worse than ``v``, and
      contamination improves on it.

    Args:
        kind (str): ``"none"``, ``"contamination"`` or ``"tv"``.
        rho (float): size of the set, in [0, 1]; must be 0 for ``"none"``.
        worst_value (float, optional): value of the fail state, in units of return.

    Raises:
        ValueError: for an unknown kind, ``rho`` outside [0, 1] or not finite, a ``"none"`` of
            some size, a ``worst_value`` that is no finite number.

    Examples:
        >>> probs, values = torch.tensor([0.5, 0.5, 0.0]), torch.tensor([1.0, 3.0, 0.0])
        >>> UncertaintySet("tv", rho=0.25).worst_kernel(probs, values)
        tensor([0.5000, 0.2500, 0.2500])
        >>> UncertaintySet("contamination", rho=0.25).worst_kernel(probs, values)
        tensor([0.3750, 0.3750, 0.2500])
        >>> UncertaintySet("tv", rho=0.25, worst_value=-1.0).worst_kernel(probs, values)
        tensor([0.5000, 0.2500, 0.0000, 0.2500])
    """

    kind: str
    rho: float = 0.0
    worst_value: float | None = None

    rectangular: ClassVar[bool] = True

    def __post_init__(self):
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {KINDS}, got {self.kind!r}.")
        object.__setattr__(self, "rho", check_rho(self.rho))
        if self.kind == "none" and self.rho:
            raise ValueError(
                f"kind 'none' is the nominal kernel alone: rho must be 0, got {self.rho}. Name a "
                "set, 'contamination' or 'tv', to give it a size."
            )
        if self.worst_value is not None:
            object.__setattr__(self, "worst_value", check_worst_value(self.worst_value))

    def expectation(self, probs: Tensor, values: Tensor) -> Tensor:
        """Worst-case expectation of the next value over the set.

        Args:
            probs (Tensor): nominal probabilities, ``[..., S']``.
            values (Tensor): values of the next states, ``[S']``.

        Returns:
            Tensor ``[...]``.

        Raises:
            ValueError: if ``values`` has another shape or is not finite.

        Examples:
            >>> probs, values = torch.tensor([0.5, 0.5]), torch.tensor([1.0, 3.0])
            >>> UncertaintySet("tv", rho=0.25).expectation(probs, values)
            tensor(1.5000)
        """
        values = _check_values(values, probs)
        if self.kind == "none":
            return probs.to(values.dtype) @ values
        values = values.expand_as(probs)
        return worst_case_expectation(values, probs, self.rho, self.kind, self.worst_value)

    def worst_kernel(self, probs: Tensor, values: Tensor) -> Tensor:
        """The distributions in the set that attain :meth:`expectation`.

        Mass goes to the first state of the smallest value, or to the fail state.

        Args:
            probs (Tensor): nominal probabilities, ``[..., S']``.
            values (Tensor): values of the next states, ``[S']``.

        Returns:
            Tensor ``[..., S']``; with a ``worst_value`` ``[..., S' + 1]``, the fail state last.

        Raises:
            ValueError: if ``values`` has another shape or is not finite.
        """
        values = _check_values(values, probs)
        if self.kind == "none":
            taken = torch.zeros_like(probs)
        elif self.kind == "contamination":
            taken = self.rho * probs
        else:
            v = values.min() if self.worst_value is None else self.worst_value
            best_first = values.argsort(descending=True)
            # Only what is better than the place it goes to is worth moving.
            movable = (probs * (values > v))[..., best_first]
            mass_above = movable.cumsum(-1) - movable
            taken_sorted = torch.minimum((self.rho - mass_above).clamp_min(0.0), movable)
            taken = torch.zeros_like(probs)
            taken[..., best_first] = taken_sorted
        kept = probs - taken
        moved = taken.sum(-1, keepdim=True)
        if self.worst_value is not None:
            return torch.cat([kept, moved], -1)
        # Out of place: kept may be a view of the caller's tensor where nothing was taken.
        return kept.index_add(-1, values.argmin().reshape(1), moved)

    def contains(self, probs: Tensor, other: Tensor, atol: float = 1e-9) -> Tensor:
        """Which rows of another kernel are in the set.

        Args:
            probs (Tensor): nominal probabilities, ``[..., S']``.
            other (Tensor): candidates, of the shape that :meth:`worst_kernel` returns.
            atol (float): slack per entry.

        Returns:
            Tensor ``[...]`` bool; rows that are no distributions are in no set.

        Raises:
            ValueError: if ``other`` has another shape.

        Examples:
            >>> probs, other = torch.tensor([0.5, 0.5]), torch.tensor([0.75, 0.25])
            >>> [UncertaintySet(k, 0.25).contains(probs, other).item() for k in KINDS[1:]]
            [False, True]
        """
        n_states = probs.shape[-1]
        expected = (*probs.shape[:-1], n_states + (self.worst_value is not None))
        if other.shape != expected:
            raise ValueError(
                f"other must have the shape {list(expected)}, got {list(other.shape)}: a set with "
                "a worst_value has the probability of its fail state last, others have none."
            )
        states = other[..., :n_states]
        total = other.sum(-1) - 1.0
        rounding = torch.finfo(other.dtype).eps
        is_distribution = (other >= -atol).all(-1) & (total.abs() <= n_states * (atol + rounding))
        return is_distribution & self._near(probs, states, atol)

    def _near(self, probs: Tensor, states: Tensor, atol: float) -> Tensor:
        """:meth:`contains` of distributions, whose part within the model is ``states``."""
        if self.kind == "none":
            return ((states - probs).abs() <= atol).all(-1)
        if self.kind == "contamination":
            floor = (1.0 - self.rho) * probs
            least = (states >= floor - atol).all(-1)
            if self.worst_value is None:
                return least
            return least & (states <= floor + atol).all(-1)
        gone = (probs - states).clamp_min(0.0).sum(-1)
        inside = gone <= self.rho + atol
        if self.worst_value is None:
            return inside
        return inside & (states <= probs + atol).all(-1)

    def sample(self, probs: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Distributions drawn from the set, half of them on its border.

        Args:
            probs (Tensor): nominal probabilities, ``[..., S']``.
            generator (torch.Generator, optional): source of the draw.

        Returns:
            Tensor of the shape that :meth:`worst_kernel` returns.
        """

        def rand(*shape):
            return torch.rand(*shape, generator=generator, dtype=probs.dtype)

        rows = probs.shape[:-1]
        if self.worst_value is not None:
            # Towards the fail state only: all of rho under contamination, as it is an equality.
            part = self.rho * torch.ones_like(probs)
            if self.kind == "tv":
                part = rand(*probs.shape)
                lost = (part * probs).sum(-1, keepdim=True)
                part = part * (self.rho * _reach(rand, rows) / lost).clamp_max(1.0)
            return torch.cat([probs * (1 - part), (probs * part).sum(-1, keepdim=True)], -1)
        # A high power of exponential weights is close to a corner of the simplex.
        weights = (-torch.log1p(-rand(*probs.shape))) ** (1.0 + 7.0 * rand(*rows, 1))
        target = weights / weights.sum(-1, keepdim=True)
        step = self.rho * torch.ones_like(probs[..., :1])
        if self.kind == "tv":
            distance = 0.5 * (target - probs).abs().sum(-1, keepdim=True).clamp_min(1e-12)
            step = (self.rho * _reach(rand, rows) / distance).clamp_max(1.0)
        return (1 - step) * probs + step * target


def _check_values(values: Tensor, probs: Tensor) -> Tensor:
    """Values of the next states ``[S']``, in the type of the probabilities or a wider one."""
    if values.shape != probs.shape[-1:] or not values.isfinite().all():
        raise ValueError(
            f"values must be one finite number per next state, [S'] = {list(probs.shape[-1:])}, "
            f"got {list(values.shape)}, {int((~values.isfinite()).sum())} of them not finite."
        )
    return values.to(torch.promote_types(values.dtype, probs.dtype))


def _reach(rand, rows: torch.Size) -> Tensor:
    """How far to go towards the border, [*rows, 1]: all the way in every second row or so."""
    return torch.where(rand(*rows, 1) < 0.5, torch.ones(()), rand(*rows, 1))


class FiniteSet:
    r"""A finite set of whole kernels, as in the paper's Examples 1 and 2.

    Such a set is *not* of the product form that Eq. 1 asks for: the adversary picks one kernel for
    all states and joint actions. Its robust joint values are
    :math:`\inf_{P \in \mathcal P} Q^P_{tot}` (Eq. 3), no fixed point of the robust Bellman
    operator, and Theorem 1 does not hold for it (see
    :func:`~torchrl_drigm.tabular.robust_individual_values`). With ``rectangular=True`` it stands
    for its rectangular hull: the adversary picks a kernel per state and joint action, and Eq. 1
    holds.

    Args:
        kernels (sequence of Tensor): kernels of one shape, ``[S, A_1, ..., A_N, S']`` each.
        rectangular (bool): whether rows of different kernels may be mixed.

    Attributes:
        kernels (Tensor): the kernels, stacked, ``[K, S, A_1, ..., A_N, S']`` float64.

    Raises:
        ValueError: if there is no kernel, or one has another shape or is no kernel.

    Examples:
        >>> left, right = torch.tensor([[[1.0, 0.0]]] * 2), torch.tensor([[[0.0, 1.0]]] * 2)
        >>> hull = FiniteSet([left, right], rectangular=True)
        >>> hull.expectation(left, torch.tensor([3.0, 5.0], dtype=torch.float64)).squeeze(-1)
        tensor([3., 3.], dtype=torch.float64)
    """

    worst_value = None

    def __init__(self, kernels: Sequence[Tensor], rectangular: bool = False):
        if not len(kernels):
            raise ValueError("kernels must hold at least one kernel, got none.")
        shape = torch.as_tensor(kernels[0]).shape
        self.kernels = torch.stack(
            [check_kernel(kernel, shape, f"kernels[{i}]") for i, kernel in enumerate(kernels)]
        )
        self.rectangular = rectangular

    def __repr__(self):
        return f"FiniteSet({len(self.kernels)} kernels, rectangular={self.rectangular})"

    def __len__(self):
        return len(self.kernels)

    def expectation(self, probs: Tensor, values: Tensor) -> Tensor:
        """Smallest expectation of ``values`` ``[S']`` in every row, ``[S, A_1, ..., A_N]``.

        ``probs``, the nominal kernel, gives the shape only: the set is no ball around it.

        Raises:
            ValueError: if ``probs`` has another shape than the kernels, or ``values`` has another
                one or is not finite.
        """
        self._check(probs)
        return (self.kernels @ _check_values(values, self.kernels)).amin(0)

    def worst_kernel(self, probs: Tensor, values: Tensor) -> Tensor:
        """The rows that attain :meth:`expectation`, ``[S, A_1, ..., A_N, S']``.

        Raises:
            ValueError: if ``probs`` has another shape than the kernels, or ``values`` has another
                one or is not finite.
        """
        self._check(probs)
        which = (self.kernels @ _check_values(values, self.kernels)).argmin(0)
        return self.kernels.take_along_dim(which[None, ..., None], 0).squeeze(0)

    def _check(self, probs: Tensor) -> None:
        if probs.shape != self.kernels.shape[1:]:
            raise ValueError(
                "the kernels of the set must have the shape of the model's, "
                f"{list(probs.shape)}, got {list(self.kernels.shape[1:])}."
            )
