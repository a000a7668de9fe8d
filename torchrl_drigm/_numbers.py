"""Checks of numbers that are made before PyTorch is imported, and after."""

from __future__ import annotations

import math
import numbers

__all__ = ["is_finite_real"]


def is_finite_real(value: object) -> bool:
    """Whether a value is one finite real number; no flag is.

    Examples:
        >>> [is_finite_real(value) for value in (0.5, 2, True, "2", float("nan"))]
        [True, True, False, False, False]
    """
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)
