"""Joint actions that differ from the greedy one in one agent's action, at which QTRAN may compare.

Axes: ``*B`` batch, ``n_agents`` agents, ``n_actions`` actions each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["check_deviation_weight", "deviating_actions", "deviation_loss", "draw_deviations"]


def check_deviation_weight(weight: float | None) -> None:
    """Refuse a weight that is neither ``None`` nor a number in [0, 1].

    Raises:
        ValueError: naming it.
    """
    if weight is None:
        return
    number = isinstance(weight, int | float) and not isinstance(weight, bool)
    if not number or not math.isfinite(weight) or not 0.0 <= weight <= 1.0:
        raise ValueError(f"deviation_weight must be None or a number in [0, 1], got {weight!r}.")


def draw_deviations(shape: Sequence[int], device: torch.device | str | None = None) -> Tensor:
    """For each step the agent that leaves the greedy joint action, and where it goes instead.

    From torch's global generator of the CPU, whatever the device.

    Args:
        shape (sequence of int): ``[*B, n_agents]``.
        device (torch.device, optional): of the result.

    Returns:
        Tensor: ``[*B, n_agents]``, for one agent of each step a number ``u`` uniform in [0, 1),
        which stands for its legal action of index ``floor(u * number of legal actions)``; for the
        others -1, which stands for the greedy one.

    Examples:
        >>> _ = torch.manual_seed(0)
        >>> deviations = draw_deviations((1000, 3))
        >>> (deviations >= 0).sum(-1).unique(), (deviations >= 0).any(0)
        (tensor([1]), tensor([True, True, True]))
    """
    *batch, n_agents = shape
    place = torch.rand(*batch, n_agents)
    agent = torch.randint(n_agents, (*batch, 1))
    return place.masked_fill(torch.arange(n_agents) != agent, -1.0).to(device)


def deviating_actions(deviations: Tensor, greedy: Tensor, legal: Tensor | None, n: int) -> Tensor:
    """The joint actions that :func:`draw_deviations` stands for.

    Args:
        deviations (Tensor): ``[*B, n_agents]``.
        greedy (Tensor): greedy actions, int64 ``[*B, n_agents]``.
        legal (Tensor, optional): mask ``[*B, n_agents, n_actions]``. Default: all.
        n (int): ``n_actions``.

    Returns:
        Tensor: int64 ``[*B, n_agents]``.

    Examples:
        >>> legal = torch.tensor([[True, False, True, True], [True, True, True, True]])
        >>> deviating_actions(torch.tensor([0.5, -1.0]), torch.tensor([0, 3]), legal, 4)
        tensor([2, 3])
    """
    if legal is None:
        other = (deviations * n).long().clamp_max(n - 1)
    else:
        rank = (deviations * legal.sum(-1)).long().unsqueeze(-1)
        other = (legal.cumsum(-1) > rank).int().argmax(-1)
    return torch.where(deviations < 0.0, greedy, other)


def deviation_loss(error: Tensor, weight: float) -> Tensor:
    r"""Squared error, a positive one with a weight.

    Args:
        error (Tensor): of the agents' sum and the baseline to the joint value, of any shape.
        weight (float): in [0, 1].

    Examples:
        >>> deviation_loss(torch.tensor([-2.0, 2.0]), 0.1)
        tensor([4.0000, 0.4000])
    """
    return error.square() * torch.where(error > 0.0, weight, 1.0)
