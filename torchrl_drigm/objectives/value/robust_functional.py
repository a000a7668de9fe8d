"""Backups, dual objectives and exact worst cases of the named sets, as functions of plain numbers.

The mathematics is that of the sets in :mod:`torchrl_drigm.uncertainty`; a function makes the set
and asks it. Symbols, as in the DrIGM paper (equation numbers are the paper's):

- ``V'``   next team value, 0 where the next state is terminal
- ``eta``  dual variable of the total-variation set
- ``rho``  size of the uncertainty set; 0 is the nominal model
- ``v``    worst value over all states (``worst_value``); 0 under the paper's Assumptions 1 and 2
"""

from __future__ import annotations

import torch
from torch import Tensor

from torchrl_drigm.uncertainty import Contamination, TotalVariation, find_set
from torchrl_drigm.uncertainty._checks import check_worst_value

__all__ = [
    "contamination_backup",
    "tv_backup",
    "tv_dual_objective",
    "worst_case_expectation",
]


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
    return Contamination(rho, check_worst_value(worst_value)).backup(next_value)


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
    return TotalVariation(rho, check_worst_value(worst_value)).backup(next_value, dual_value)


def tv_dual_objective(
    next_value: Tensor, dual_value: Tensor, rho: float, worst_value: float = 0.0
) -> Tensor:
    r"""Integrand that the dual network minimises in the mean (Eq. 17): ``-tv_backup``.

    .. math::
        (\eta - V')_+ + \rho (\eta - v)_+ - \eta

    It is convex and piecewise linear in :math:`\eta`. Because the mean is over the *linear*
    quantity, the minimiser of the empirical loss is the conditional optimum
    :math:`\eta(s, \mathbf a)`; the mean of its square has another minimiser unless the next state
    is certain and its value negative.

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
    ball = TotalVariation(rho, check_worst_value(worst_value))
    return ball.dual_objective(next_value, dual_value)


def worst_case_expectation(
    values: Tensor,
    probs: Tensor,
    rho: float,
    uncertainty: str = "tv",
    worst_value: float | Tensor | None = None,
) -> Tensor:
    r"""Exact worst-case expectation of a discrete distribution, over a set by name.

    - ``"contamination"``: :math:`(1-\rho)\,\mathbb E[V] + \rho v`.
    - ``"tv"``: the adversary takes up to :math:`\rho` of the mass from the best outcomes and puts
      it on ``v``, that is :math:`\sup_\eta\{\eta - \mathbb E(\eta - V)_+ - \rho(\eta - v)_+\}`.
      With ``v`` below every outcome it is :math:`(1-\rho)` times the mean of the lowest
      :math:`(1-\rho)` of the mass, plus :math:`\rho v`.

    Args:
        values (Tensor): value of each outcome, ``[..., n]``.
        probs (Tensor): nominal probability of each outcome, ``[..., n]``, summing to 1.
        rho (float): size of the set.
        uncertainty (str): a set of :func:`~torchrl_drigm.uncertainty.named_sets`, or the import
            path of one.
        worst_value (float, Tensor or None): worst value ``v``, a number or ``[...]``. ``None``
            confines the adversary to the listed outcomes (those of probability 0 included):
            ``v = min(values)``.

    Returns:
        Tensor ``[...]``, in floating point also where ``values`` and ``probs`` are integers.

    Raises:
        ValueError: for an unknown set, shapes that differ, an illegal ``rho``, a ``worst_value``
            of a set that has none, ``probs`` that are no distribution, and numbers that are not
            finite.

    Examples:
        >>> values, probs = torch.tensor([0.0, 1.0, 3.0]), torch.tensor([0.25, 0.5, 0.25])
        >>> worst_case_expectation(values, probs, rho=0.5)  # 0.25 * 3 and 0.25 * 1 move to 0
        tensor(0.2500)
        >>> worst_case_expectation(values, probs, rho=0.5, uncertainty="contamination")
        tensor(0.6250)
    """
    set_cls = find_set(uncertainty)
    # a set without a size is the one of size 0
    fields = {} if "rho" not in set_cls.field_names() and rho == 0 else {"rho": rho}
    if values.shape != probs.shape or values.ndim == 0 or values.shape[-1] == 0:
        raise ValueError(
            "values and probs must share one shape [..., n] with n of at least 1, got "
            f"{tuple(values.shape)} and {tuple(probs.shape)}."
        )
    if not isinstance(worst_value, Tensor) or worst_value.ndim == 0:
        if worst_value is not None:
            fields["worst_value"] = check_worst_value(worst_value)
        return set_cls.from_fields(**fields).expectation(probs, values)
    # Another worst value for every distribution: counted from it, all of them are 0. (A worst case
    # is an infimum of expectations, and moves with what it is of.)
    ball = set_cls.from_fields(**fields, worst_value=0.0)
    probs, values = ball.rows(probs, values)
    _check_worst_values(worst_value, probs.shape[:-1])
    worst_value = worst_value.to(values)
    return ball.expectation(probs, values - worst_value.unsqueeze(-1)) + worst_value


def _check_worst_values(worst_value: Tensor, shape: tuple[int, ...]) -> None:
    """Refuse worst values that are not one for each distribution."""
    if worst_value.shape != shape:
        raise ValueError(
            "worst_value must be a number, or one for each distribution, "
            f"{list(shape)}, got {list(worst_value.shape)}."
        )
    if worst_value.dtype == torch.bool or not worst_value.isfinite().all():
        raise ValueError(
            f"worst_value must be finite numbers, got {worst_value.tolist()}. They are values over "
            "all states, in units of return."
        )
