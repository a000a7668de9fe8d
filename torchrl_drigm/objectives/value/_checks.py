"""Checks of the hyper-parameters that the estimators share."""

from __future__ import annotations

from torch import Tensor

from torchrl_drigm.uncertainty._checks import check_worst_value, is_finite_number


def resolve_worst_value(
    gamma: float | Tensor, worst_value: float | None, reward_lower_bound: float | None
) -> float:
    r"""Worst value over all states, from a number or from a lower bound of the reward.

    Args:
        gamma (float or Tensor): discount factor.
        worst_value (float or None): the value itself; ``None`` means 0.
        reward_lower_bound (float or None): a lower bound :math:`r_{min}` of the team reward per
            step; the value is then :math:`r_{min} / (1 - \gamma)`.

    Raises:
        ValueError: if both are given, one is no finite number, or ``gamma`` is no discount factor
            or is 1 with a bound.

    Examples:
        >>> resolve_worst_value(0.75, None, -3.0)
        -12.0
    """
    gamma = float(check_gamma(gamma))
    if reward_lower_bound is None:
        return 0.0 if worst_value is None else check_worst_value(worst_value)
    if worst_value is not None:
        raise ValueError(
            f"worst_value={worst_value} and reward_lower_bound={reward_lower_bound} exclude each "
            "other: give the worst value itself, or the reward bound that it is computed from."
        )
    if not is_finite_number(reward_lower_bound) or not gamma < 1.0:
        raise ValueError(
            "reward_lower_bound needs a finite bound and gamma < 1, got "
            f"reward_lower_bound={reward_lower_bound} and gamma={gamma}; with gamma=1 pass "
            "worst_value instead."
        )
    return float(reward_lower_bound) / (1.0 - gamma)


def check_gamma(gamma: float | Tensor) -> float | Tensor:
    """Return ``gamma``, or raise if it is no discount factor in [0, 1].

    Raises:
        ValueError: if it is not one finite number there.

    Examples:
        >>> check_gamma(0.997)
        0.997
    """
    if not is_finite_number(gamma) or not 0.0 <= float(gamma) <= 1.0:
        raise ValueError(f"gamma must be a finite number in [0, 1], got {gamma}.")
    return gamma


def check_lmbda(lmbda: float | Tensor) -> float | Tensor:
    """Return ``lmbda``, or raise if it is no trajectory discount in [0, 1].

    Raises:
        ValueError: if it is not one finite number there.

    Examples:
        >>> check_lmbda(0.8)
        0.8
    """
    if not is_finite_number(lmbda) or not 0.0 <= float(lmbda) <= 1.0:
        raise ValueError(f"lmbda must be a finite number in [0, 1], got {lmbda}.")
    return lmbda
