"""What becomes of the dual numbers that a network gives.

Axes: ``*B`` batch of samples.
"""

from __future__ import annotations

from torch import Tensor


def unused(next_value: Tensor, *duals: Tensor) -> Tensor:
    """The next values to the last bit, with a gradient of 0 to the duals, whatever they are.

    Args:
        next_value (Tensor): ``[*B, 1]``.
        *duals (Tensor): dual numbers ``[*B, 1]``, NaN and infinity included.

    Examples:
        >>> import torch
        >>> dual = torch.tensor([[torch.nan], [torch.inf]], requires_grad=True)
        >>> unused(torch.tensor([[1.0], [2.0]]), dual).sum().backward()
        >>> dual.grad.flatten()
        tensor([0., 0.])
    """
    for dual in duals:
        next_value = next_value + 0.0 * dual.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
    return next_value
