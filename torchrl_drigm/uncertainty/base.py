r"""What an uncertainty set is: the protocol, and what follows from it for every set.

Axes: ``*B`` batch of samples; ``...`` rows of a kernel, ``S'`` next states.

Symbols, as in the DrIGM paper:

- ``V'``  next team value, 0 where the next state is terminal
- ``rho`` size of the set; 0 is the nominal model
- ``v``   worst value over all states (``worst_value``)
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import ClassVar, Self

import torch
from torch import Tensor

from torchrl_drigm.uncertainty._checks import check_radius, check_share, check_worst_value
from torchrl_drigm.uncertainty._fields import Fields
from torchrl_drigm.uncertainty._rows import are_distributions, as_rows
from torchrl_drigm.uncertainty._sampling import as_far_as, near_a_corner, reach, uniform
from torchrl_drigm.uncertainty.registry import add_named

__all__ = ["UncertaintySet", "check_radius", "check_share"]


# compared by identity, unless the subclass is a dataclass itself
@dataclass(frozen=True, eq=False, repr=False)
class UncertaintySet(Fields):
    r"""A set of distributions of the next state around the nominal one.

    A subclass is a frozen dataclass whose fields are its hyper-parameters, usually ``rho`` and,
    where its adversary brings in a state of the worst value, ``worst_value``:

    - ``None``: any state of the model, those of nominal probability 0 included. For exact models
      only, as samples do not tell which state that is.
    - a number ``v``: a fail state of value ``v`` outside the model. This is what losses train on.
      Kernels then have one more column, the probability of the fail state.

    **To learn** with a set it gives :meth:`backup`, and either as many dual numbers as
    :attr:`n_duals` says, or, where the backup is affine, :meth:`affine` in place of it. **For exact
    models** it gives :meth:`worst_kernel`, or :meth:`expectation` where there is something quicker,
    and :meth:`contains`. The rest follows.

    A subclass with a :attr:`name` of its own can be asked for by it: in configs, and in losses as
    ``"<name>_td0"``. One without works as well, as an object.

    Keyword Args:
        joint_with_reward (bool): whether the set is one of distributions of reward *and* next
            state: the worst case is then of ``r + gamma V'``, and the target
            :math:`y = \sigma(r + \gamma V')` in place of :math:`r + \gamma\,\sigma(V')`, so that
            it sees damage that is paid at once. Values of outcomes, that of the fail state
            included, are then returns from the reward on, ``r + gamma V'``. Defaults to ``False``.

    Attributes:
        name (str): short name, for aliases and configs.
        label (str): what tables and plots call it.
        n_duals (int): dual numbers per state and joint action that a network has to learn.
        dual_follows_value (bool): whether losses count the first of them from their team value, as
            is wanted where the slope of the backup may be above 1; see the page on losses.
        is_affine (bool): whether the class gives :meth:`affine`.
        rectangular (bool): whether each state and joint action has an adversary of its own (Eq. 1).
        worst_value (float or None): see above. ``None`` for sets without this field.

    Raises:
        ValueError: for an illegal ``rho`` (:meth:`check_size`) or ``worst_value``, or another
            ``joint_with_reward`` than ``True`` and ``False``.

    Examples:
        >>> from torchrl_drigm.uncertainty import TotalVariation
        >>> TotalVariation(rho=0.2, worst_value=-6.0, joint_with_reward=True)
        TotalVariation(rho=0.2, worst_value=-6.0, joint_with_reward=True)
    """

    joint_with_reward: bool = field(default=False, kw_only=True)

    name: ClassVar[str] = ""
    label: ClassVar[str] = ""
    n_duals: ClassVar[int] = 0
    dual_follows_value: ClassVar[bool] = False
    is_affine: ClassVar[bool] = False
    rectangular = True
    worst_value = None
    # what is a legal `rho`: check_share, or check_radius
    check_size = staticmethod(check_share)

    def __init_subclass__(cls, **kwargs) -> None:
        super().__init_subclass__(**kwargs)
        cls.is_affine = cls.affine is not UncertaintySet.affine
        # A subclass of a named set is another set, without a name unless it gives one.
        if cls.__dict__.get("name"):
            add_named(cls)

    def __post_init__(self) -> None:
        # The dataclasses are frozen, so that an estimator notices every change.
        if "rho" in self.field_names():
            object.__setattr__(self, "rho", self.check_size(self.rho))
        if self.worst_value is not None:
            object.__setattr__(self, "worst_value", check_worst_value(self.worst_value))
        if not isinstance(self.joint_with_reward, bool):
            raise ValueError(
                f"joint_with_reward must be True or False, got {self.joint_with_reward!r}: whether "
                "the adversary chooses reward and next state together, or the next state alone."
            )

    # ---- hyper-parameters, beside those of Fields

    def in_units_of(self, unit: float) -> Self:
        """The same set where values are counted in other units of return.

        A set with other fields in units of return than ``worst_value`` says here what becomes of
        them.

        Examples:
            >>> from torchrl_drigm.uncertainty import TotalVariation
            >>> TotalVariation(rho=0.2, worst_value=-6.0).in_units_of(2.0)
            TotalVariation(rho=0.2, worst_value=-3.0)
        """
        if self.worst_value is None:
            return self
        return self.replace(worst_value=self.worst_value / unit)

    @property
    def kind(self) -> str:
        """Deprecated: :attr:`name`."""
        warnings.warn(
            f"{type(self).__name__}.kind is deprecated and goes with the next release: use name.",
            DeprecationWarning,
            stacklevel=2,
        )
        return self.name

    # ---- learning: one sample of the next state at a time

    def backup(self, next_value: Tensor, dual_value: Tensor | None = None) -> Tensor:
        r"""Worst case :math:`\sigma(V')` of one sample per element.

        Its mean over samples of the nominal model is the worst-case expectation, at the best dual
        numbers where there are some, and no larger at any other.

        Args:
            next_value (Tensor): next team value ``V'``, ``[*B, 1]``.
            dual_value (Tensor, optional): what the dual network gives, ``[*B, n_duals]``,
                unbounded; a number that must be positive is made so here.

        Returns:
            Tensor ``[*B, 1]``.

        Raises:
            ValueError: for a set that cannot be learned from samples, or dual numbers of another
                shape.
        """
        if not self.is_affine:
            raise ValueError(
                f"{self!r} has no value estimator: it has neither backup() nor affine(), which "
                "tell what one sample of the next state is worth. Learn with a set that does, such "
                "as TotalVariation(rho, worst_value), or add one of the two."
            )
        scale, shift = self.affine()
        return scale * next_value + shift

    def affine(self) -> tuple[float, float]:
        """``scale`` and ``shift`` of the backup ``scale * V' + shift``, where it is one.

        Raises:
            ValueError: for a set whose backup is none.
        """
        raise ValueError(
            f"the backup of {self!r} is not affine in the next value, so that the worst case of a "
            "return over several steps is not one of their sum. Take λ-returns, which ask for the "
            "worst case at every step, by lmbda or RobustTDLambda, or one-step targets."
        )

    def slope(self, next_value: Tensor, dual_value: Tensor | None = None) -> Tensor:
        r"""Derivative of :meth:`backup` with respect to the next value, of its shape, no gradient.

        At the best dual numbers it is the density of the worst distribution with respect to the
        nominal one. λ-returns of sets with duals need it; a set gives it where it knows something
        quicker than differentiation.

        Args:
            next_value (Tensor): ``[*B, 1]``.
            dual_value (Tensor, optional): ``[*B, n_duals]``.

        Examples:
            >>> from torchrl_drigm.uncertainty import TotalVariation
            >>> next_value, eta = torch.tensor([[1.0], [3.0]]), torch.tensor([[2.0], [2.0]])
            >>> TotalVariation(rho=0.5, worst_value=0.0).slope(next_value, eta)
            tensor([[1.],
                    [0.]])
        """
        if self.is_affine:
            return torch.full_like(next_value, self.affine()[0])
        if dual_value is not None:
            dual_value = dual_value.detach()
        # every sample has its own outcome: the derivatives of the sum are those of the samples
        return torch.func.grad(lambda value: self.backup(value, dual_value).sum())(
            next_value.detach()
        )

    def dual_objective(self, next_value: Tensor, dual_value: Tensor) -> Tensor:
        """What the dual numbers minimise in the mean: ``-backup``, ``[*B, 1]``.

        Args:
            next_value (Tensor): ``[*B, 1]``; no gradient should reach it.
            dual_value (Tensor): ``[*B, n_duals]``.
        """
        return -self.backup(next_value, dual_value)

    def duals(self, next_value: Tensor, dual_value: Tensor | None) -> tuple[Tensor, ...]:
        """The dual numbers one by one, each of the shape of ``next_value``; for :meth:`backup`.

        Raises:
            ValueError: if there are none, or they have another shape.
        """
        n = self.n_duals
        shape = tuple(next_value.shape) if n == 1 else (*next_value.shape[:-1], n)
        if dual_value is None or tuple(dual_value.shape) != shape:
            got = "none" if dual_value is None else f"{tuple(dual_value.shape)}"
            last = "" if n == 1 else f" with {n} numbers for its last dimension"
            raise ValueError(
                f"dual_value must have the shape of next_value{last}, {shape}, got {got}. The dual "
                f"of {type(self).__name__} is {n} number{'s' * (n > 1)} per state and joint "
                f"action: a dual network must end in [*B, {n}]."
            )
        return (dual_value,) if n == 1 else dual_value.split(1, -1)

    def fail_value(self) -> float:
        """``worst_value``, for what can only work with a number.

        Raises:
            ValueError: if it is ``None``.
        """
        if self.worst_value is None:
            raise ValueError(
                f"{self!r} sends mass to the worst state of the model, and samples do not tell "
                "which that is. Give worst_value a number below every value that occurs, in units "
                "of return; for an exact model tabular.numeric_worst_value() finds it."
            )
        return self.worst_value

    # ---- exact models: rows of a kernel

    def expectation(self, probs: Tensor, values: Tensor) -> Tensor:
        """Exact worst-case expectation of the next value.

        Args:
            probs (Tensor): nominal probabilities, ``[..., S']``.
            values (Tensor): values of the next states, ``[S']``, or ``[..., S']`` of its own for
                every row.

        Returns:
            Tensor ``[...]``, in floating point.

        Raises:
            ValueError: for values of another shape or that are not finite, and rows that are no
                distributions.
        """
        probs, values = self.rows(probs, values)
        worst = self.worst_kernel(probs, values)
        if self.worst_value is not None:
            values = torch.cat([values, torch.full_like(values[..., :1], self.worst_value)], -1)
        return (worst * values).sum(-1)

    def worst_kernel(self, probs: Tensor, values: Tensor) -> Tensor:
        """The distributions in the set that attain :meth:`expectation`.

        Args:
            probs (Tensor): nominal probabilities, ``[..., S']``.
            values (Tensor): values of the next states, as :meth:`expectation` takes them.

        Returns:
            Tensor ``[..., S']``; with a ``worst_value`` ``[..., S' + 1]``, the fail state last.

        Raises:
            ValueError: as :meth:`expectation` does.
            NotImplementedError: for a set that does not say.
        """
        raise NotImplementedError(
            f"{type(self).__name__} does not say which distribution is the worst. Give it "
            "worst_kernel(probs, values) to use it on exact models."
        )

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
            NotImplementedError: for a set that does not say.
        """
        raise NotImplementedError(
            f"{type(self).__name__} does not say what it contains. Give it contains(probs, other, "
            "atol) to test kernels and to draw some."
        )

    def sample(self, probs: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Distributions drawn from the set, half of them on its border.

        From the nominal distribution towards one that is drawn at random, as far as
        :meth:`contains` allows, which is right for every convex set around the nominal
        distribution.

        Args:
            probs (Tensor): nominal probabilities, ``[..., S']``.
            generator (torch.Generator, optional): source of the draw.

        Returns:
            Tensor of the shape that :meth:`worst_kernel` returns.
        """
        rand, rows, nominal = uniform(probs, generator), probs.shape[:-1], probs
        if self.worst_value is not None:
            nominal = torch.cat([probs, torch.zeros_like(probs[..., :1])], -1)
        target = near_a_corner(rand, nominal.shape)
        # Half of the ways stay where the nominal model goes: some sets hold nothing else.
        known = nominal * target.clamp_min(torch.finfo(target.dtype).eps)
        known = known / known.sum(-1, keepdim=True)
        target = torch.where(rand(*rows, 1) < 0.5, known, target)
        border = as_far_as(lambda other: self.contains(probs, other, atol=0.0), nominal, target)
        step = border * reach(rand, rows)
        return (1 - step) * nominal + step * target

    # ---- for the sets themselves

    rows = staticmethod(as_rows)

    def moved_to_the_worst(self, probs: Tensor, taken: Tensor, values: Tensor) -> Tensor:
        """Kernels whose mass ``taken`` ``[..., S']`` goes to the smallest value, or fails."""
        kept, moved = probs - taken, taken.sum(-1, keepdim=True)
        if self.worst_value is not None:
            return torch.cat([kept, moved], -1)
        return kept.scatter_add(-1, values.argmin(-1, keepdim=True), moved)

    def are_distributions(self, probs: Tensor, other: Tensor, atol: float) -> Tensor:
        """Which candidates of :meth:`contains` are distributions at all, ``[...]`` bool.

        Raises:
            ValueError: if ``other`` has another shape than :meth:`worst_kernel` returns.
        """
        return are_distributions(probs, other, atol, fail_state=self.worst_value is not None)
