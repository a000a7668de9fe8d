"""Checks of numbers that sets and estimators share."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from torchrl_drigm._numbers import is_finite_real


def is_finite_number(value: object) -> bool:
    """Whether a value is one finite real number, a tensor of one element included; no flag is.

    Examples:
        >>> [is_finite_number(value) for value in (0.5, 2, True, "2", float("nan"))]
        [True, True, False, False, False]
    """
    if isinstance(value, Tensor):
        is_number = value.numel() == 1 and value.dtype != torch.bool and not value.is_complex()
        return is_number and math.isfinite(value)
    return is_finite_real(value)


def check_worst_value(worst_value: float | Tensor) -> float:
    """Return a worst value as a float, or raise if it is no finite number.

    Raises:
        ValueError: naming the value.

    Examples:
        >>> check_worst_value(-3)
        -3.0
    """
    if not is_finite_number(worst_value):
        raise ValueError(
            f"worst_value must be a finite number, got {worst_value!r}. It is a value over all "
            "states, in units of return."
        )
    return float(worst_value)


def check_share(rho: float) -> float:
    """Return ``rho`` as a float, or raise if it is no share of the probability mass.

    Raises:
        ValueError: if ``rho`` is not a finite number in [0, 1].

    Examples:
        >>> check_share(0.2)
        0.2
    """
    if not is_finite_number(rho) or not 0.0 <= float(rho) <= 1.0:
        raise ValueError(
            f"rho must be a finite number in [0, 1], got {rho}. It is the share of the probability "
            "mass that the adversary may move; rho=0 is the nominal model."
        )
    return float(rho)


def check_radius(rho: float) -> float:
    """Return ``rho`` as a float, or raise if it is no radius of a ball.

    Raises:
        ValueError: if ``rho`` is not a finite number from 0 on.

    Examples:
        >>> check_radius(2)
        2.0
    """
    if not is_finite_number(rho) or not float(rho) >= 0.0:
        raise ValueError(
            f"rho must be a finite number, 0 or larger, got {rho}. It is the largest divergence "
            "from the nominal model that the adversary may choose."
        )
    return float(rho)
