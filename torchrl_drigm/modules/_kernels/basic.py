"""The small operations of layers and recurrences.

Axes: ``A`` agents, ``N`` flattened batch, ``H`` hidden units.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.compiler import is_compiling

__all__ = ["add_product", "learns", "look_up", "tanh"]


def add_product(bias: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    """``bias + x @ weight`` of batches of matrices."""
    if is_compiling() or torch._C._are_functorch_transforms_active():
        # compiled, the sum becomes part of what follows it, where baddbmm first copies the bias;
        # and vmap has no rule for baddbmm, and would run it copy by copy
        return bias + torch.bmm(x, weight)
    return torch.baddbmm(bias, x, weight)


def look_up(table: Tensor, action: Tensor) -> Tensor:
    """Rows of one table per agent: ``[A, n_actions, H]`` and int64 ``[A, N]`` -> ``[A, N, H]``.

    Equal to the product of the one-hot actions and the tables. One selection of rows from all
    tables at once: a fraction of the time of indexing by agent and action, forward and backward.
    What is out of bounds may be a row of another agent's table: check actions before.
    """
    n_agents, n_actions, _ = table.shape
    first = torch.arange(0, n_agents * n_actions, n_actions, device=action.device).unsqueeze(-1)
    rows, table = action + first, table.flatten(0, 1)
    if torch._C._are_functorch_transforms_active():
        return nn.functional.embedding(rows, table)  # vmap makes a gather of numbers of the other
    return table.index_select(0, rows.flatten()).view(*action.shape, -1)


def tanh(x: Tensor) -> Tensor:
    """``x.tanh()``."""
    if is_compiling() and x.device.type == "cpu":
        return 2.0 * torch.sigmoid(2.0 * x) - 1.0  # in fewer instructions; absolute error 1e-7
    return x.tanh()


def learns(*tensors: Tensor | None) -> bool:
    """Whether a gradient will be asked for of any of them."""
    return torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors)
