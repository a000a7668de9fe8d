"""Robust one-step backups, dual objectives and exact worst cases, as pure functions on tensors.

Symbols, as in the DrIGM paper (equation numbers are the paper's):

- ``V'``   next team value, 0 where the next state is terminal
- ``eta``  dual variable of the total-variation set
- ``rho``  size of the uncertainty set, in [0, 1]; 0 is the nominal model
- ``v``    worst value over all states (``worst_value``); 0 under the paper's Assumptions 1 and 2
"""

from __future__ import annotations

import torch
from torch import Tensor

from torchrl_drigm.objectives.value._checks import check_worst_value, is_finite_number

__all__ = [
    "contamination_backup",
    "tv_backup",
    "tv_dual_objective",
    "worst_case_expectation",
]

UNCERTAINTY_SETS = ("contamination", "tv")


def check_rho(rho: float) -> float:
    """Return ``rho`` as a float, or raise if it is no size of an uncertainty set.

    Raises:
        ValueError: if ``rho`` is not a finite number in [0, 1].

    Examples:
        >>> check_rho(0.2)
        0.2
    """
    if not is_finite_number(rho) or not 0.0 <= float(rho) <= 1.0:
        raise ValueError(
            f"rho must be a finite number in [0, 1], got {rho}. It is the share of the probability "
            "mass that the adversary may move; rho=0 is the nominal model."
        )
    return float(rho)


def _check_same_shape(next_value: Tensor, dual_value: Tensor) -> None:
    if next_value.shape != dual_value.shape:
        raise ValueError(
            f"dual_value must have the shape of next_value, {tuple(next_value.shape)}, got "
            f"{tuple(dual_value.shape)}. The dual is one number per state and joint action: "
            "a dual network must end in [*B, 1]."
        )


def contamination_backup(next_value: Tensor, rho: float, worst_value: float = 0.0) -> Tensor:
    r"""Worst case over a :math:`\rho`-contamination set (Eq. 7, 27-28), one sample per element.

    .. math::
        \sigma(V') = (1 - \rho) V' + \rho v

    Its mean over samples of the nominal model is the exact worst-case expectation.

    Args:
        next_value (Tensor): next team value ``V'``, any shape.
        rho (float): size of the set, in [0, 1].
        worst_value (float): worst value ``v`` over all states, in units of return.

    Returns:
        Tensor of the shape of ``next_value``.

    Raises:
        ValueError: if ``rho`` is outside [0, 1], or either is no finite number.

    Examples:
        >>> contamination_backup(torch.tensor([1.0, 3.0]), rho=0.5, worst_value=-2.0)
        tensor([-0.5000,  0.5000])
    """
    rho = check_rho(rho)
    return (1.0 - rho) * next_value + rho * check_worst_value(worst_value)


def tv_backup(
    next_value: Tensor, dual_value: Tensor, rho: float, worst_value: float = 0.0
) -> Tensor:
    r"""Dual form of the worst case over a total-variation ball (Eq. 9, 29), one sample per element.

    .. math::
        \eta - (\eta - V')_+ - \rho (\eta - v)_+

    Its mean over samples of the nominal model is a lower bound of the worst-case expectation for
    every :math:`\eta`, and equals it at the maximiser, a :math:`(1-\rho)`-quantile of ``V'``
    (or ``v`` where that is larger). At ``v = 0`` and :math:`\eta \ge 0` this is Eq. 10.

    Args:
        next_value (Tensor): next team value ``V'``, any shape.
        dual_value (Tensor): dual variable ``eta``, same shape.
        rho (float): radius of the ball, in [0, 1].
        worst_value (float): worst value ``v`` over all states, in units of return.

    Returns:
        Tensor of the shape of ``next_value``.

    Raises:
        ValueError: if the shapes differ, ``rho`` is outside [0, 1], or it or the worst value is no
            finite number.

    Examples:
        >>> next_value, eta = torch.tensor([1.0, 3.0]), torch.tensor([2.0, 2.0])
        >>> tv_backup(next_value, eta, rho=0.5, worst_value=0.0)
        tensor([0., 1.])
    """
    rho = check_rho(rho)
    _check_same_shape(next_value, dual_value)
    worst_value = check_worst_value(worst_value)
    # eta - (eta - V')_+ is min(eta, V'): one kernel, and exact where the difference would round.
    return torch.minimum(dual_value, next_value) - rho * torch.relu(dual_value - worst_value)


def tv_dual_objective(
    next_value: Tensor, dual_value: Tensor, rho: float, worst_value: float = 0.0
) -> Tensor:
    r"""Integrand that the dual network minimises in the mean (Eq. 17): ``-tv_backup``.

    .. math::
        (\eta - V')_+ + \rho (\eta - v)_+ - \eta

    It is convex and piecewise linear in :math:`\eta`. Because the mean is over the *linear*
    quantity, the minimiser of the empirical loss is the conditional optimum
    :math:`\eta(s, \mathbf a)`; the mean of its square has another minimiser unless the next state
    is deterministic.

    Args:
        next_value (Tensor): next team value ``V'``, any shape; no gradient should reach it.
        dual_value (Tensor): dual variable ``eta``, same shape.
        rho (float): radius of the ball, in [0, 1].
        worst_value (float): worst value ``v`` over all states, in units of return.

    Returns:
        Tensor of the shape of ``next_value``.

    Raises:
        ValueError: if the shapes differ, ``rho`` is outside [0, 1], or it or the worst value is no
            finite number.

    Examples:
        >>> next_value, eta = torch.tensor([1.0, 3.0]), torch.tensor([2.0, 2.0])
        >>> tv_dual_objective(next_value, eta, rho=0.5)
        tensor([-0., -1.])
    """
    return -tv_backup(next_value, dual_value, rho, worst_value)


def worst_case_expectation(
    values: Tensor,
    probs: Tensor,
    rho: float,
    uncertainty: str = "tv",
    worst_value: float | Tensor | None = None,
) -> Tensor:
    r"""Exact worst-case expectation of a discrete distribution, by sorting.

    - ``"contamination"``: :math:`(1-\rho)\,\mathbb E[V] + \rho v`.
    - ``"tv"``: the adversary takes up to :math:`\rho` of the mass from the best outcomes and puts
      it on ``v``, that is :math:`\sup_\eta\{\eta - \mathbb E(\eta - V)_+ - \rho(\eta - v)_+\}`.
      With ``v`` below every outcome it is :math:`(1-\rho)` times the mean of the lowest
      :math:`(1-\rho)` of the mass, plus :math:`\rho v`.

    Args:
        values (Tensor): value of each outcome, ``[..., n]``.
        probs (Tensor): nominal probability of each outcome, ``[..., n]``, summing to 1.
        rho (float): size of the set, in [0, 1].
        uncertainty (str): ``"contamination"`` or ``"tv"``.
        worst_value (float, Tensor or None): worst value ``v``, a number or ``[...]``. ``None``
            confines the adversary to the listed outcomes (those of probability 0 included):
            ``v = min(values)``.

    Returns:
        Tensor ``[...]``, in floating point also where ``values`` and ``probs`` are integers.

    Raises:
        ValueError: for an unknown set, shapes that differ, ``rho`` outside [0, 1], ``probs`` that
            are no distribution, and numbers that are not finite.

    Examples:
        >>> values, probs = torch.tensor([0.0, 1.0, 3.0]), torch.tensor([0.25, 0.5, 0.25])
        >>> worst_case_expectation(values, probs, rho=0.5)  # 0.25 * 3 and 0.25 * 1 move to 0
        tensor(0.2500)
        >>> worst_case_expectation(values, probs, rho=0.5, uncertainty="contamination")
        tensor(0.6250)
    """
    rho = check_rho(rho)
    if uncertainty not in UNCERTAINTY_SETS:
        raise ValueError(f"uncertainty must be one of {UNCERTAINTY_SETS}, got {uncertainty!r}.")
    if values.shape != probs.shape or values.ndim == 0 or values.shape[-1] == 0:
        raise ValueError(
            "values and probs must share one shape [..., n] with n of at least 1, got "
            f"{tuple(values.shape)} and {tuple(probs.shape)}."
        )
    dtype = torch.promote_types(values.dtype, probs.dtype)
    if not dtype.is_floating_point:
        dtype = torch.get_default_dtype()
    values, probs = values.to(dtype), probs.to(dtype)
    if not values.isfinite().all():
        bad = int((~values.isfinite()).sum())
        raise ValueError(
            f"values must be finite, got {bad} entries that are not. Leave out outcomes that "
            "cannot happen, or give them a value."
        )
    total = probs.sum(-1)
    # written so that a NaN fails it too
    if not ((probs >= 0).all() and torch.allclose(total, torch.ones_like(total), atol=1e-5)):
        raise ValueError(
            "probs must be non-negative and sum to 1 over the last dimension, got sums between "
            f"{total.min().item():.6g} and {total.max().item():.6g} and smallest entry "
            f"{probs.min().item():.6g}."
        )
    expectation = (probs * values).sum(-1)
    v = values.min(-1).values if worst_value is None else _as_worst_value(worst_value, expectation)
    if uncertainty == "contamination":
        return (1.0 - rho) * expectation + rho * v
    best_first = values.argsort(-1, descending=True)
    values, probs = values.gather(-1, best_first), probs.gather(-1, best_first)
    mass_above = probs.cumsum(-1) - probs
    moved = torch.minimum((rho - mass_above).clamp_min(0.0), probs)
    return expectation - (moved * torch.relu(values - v.unsqueeze(-1))).sum(-1)


def _as_worst_value(worst_value: float | Tensor, expectation: Tensor) -> Tensor:
    """Worst values of the type of the expectation ``[...]``, one or as many."""
    if not isinstance(worst_value, Tensor) or worst_value.ndim == 0:
        return expectation.new_tensor(check_worst_value(worst_value))
    if worst_value.shape != expectation.shape:
        raise ValueError(
            "worst_value must be a number, or one for each distribution, "
            f"{list(expectation.shape)}, got {list(worst_value.shape)}."
        )
    if worst_value.dtype == torch.bool or not worst_value.isfinite().all():
        raise ValueError(
            f"worst_value must be finite numbers, got {worst_value.tolist()}. They are values over "
            "all states, in units of return."
        )
    return worst_value.to(expectation)
