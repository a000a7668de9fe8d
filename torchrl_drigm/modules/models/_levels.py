"""Actions that are levels of one quantity: what is learned of one tells of its neighbours.

Axes: ``A`` agents, ``N`` flattened batch, ``H`` hidden units, ``L`` levels, ``K`` polynomials.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from torchrl_drigm.modules.models._agent_linear import AgentLinear
from torchrl_drigm.modules.models._checks import check_sizes

__all__ = ["LevelHead", "agents_polynomials", "level_polynomials"]


def check_degree(degree: int, n_actions: int) -> None:
    """Refuse a degree of which levels cannot tell the polynomials apart.

    Raises:
        ValueError: if it is no int from 1 to ``n_actions - 1``.
    """
    check_sizes("levels", action_degree=degree)
    if degree >= n_actions:
        raise ValueError(
            f"levels: action_degree must be below n_actions={n_actions}, received {degree}: "
            "that many actions have values of their own with action_degree=None."
        )


def level_polynomials(
    n_levels: int, degree: int, device: torch.device | str | None = None
) -> Tensor:
    """Chebyshev polynomials of degrees 0 to ``degree`` at levels spread evenly over [-1, 1].

    Returns:
        Tensor: ``[K, L]``.

    Examples:
        >>> level_polynomials(5, 2)
        tensor([[ 1.0000,  1.0000,  1.0000,  1.0000,  1.0000],
                [-1.0000, -0.5000,  0.0000,  0.5000,  1.0000],
                [ 1.0000, -0.5000, -1.0000, -0.5000,  1.0000]])
    """
    level = torch.linspace(-1.0, 1.0, n_levels, device=device)
    polynomials = [torch.ones_like(level), level]
    while len(polynomials) <= degree:
        polynomials.append(2.0 * level * polynomials[-1] - polynomials[-2])
    return torch.stack(polynomials)


def agents_polynomials(
    n_levels: int,
    degree: int | None,
    n_agents: int,
    share_params: bool,
    device: torch.device | str | None,
) -> Tensor | None:
    """:func:`level_polynomials` as parameters are: ``[A, K, L]``, or ``[K, L]`` if shared.

    So agents of several networks can be merged. ``None`` for no degree.

    Raises:
        ValueError: by :func:`check_degree`.
    """
    if degree is None:
        return None
    check_degree(degree, n_levels)
    polynomials = level_polynomials(n_levels, degree, device)
    return polynomials if share_params else polynomials.repeat(n_agents, 1, 1)


class LevelHead(nn.Module):
    """Values of all levels as a polynomial of the level, ``[A, N, H] -> [A, N, L]``."""

    def __init__(
        self,
        hidden_size: int,
        n_levels: int,
        degree: int,
        n_agents: int,
        share_params: bool,
        device: torch.device | str | None,
    ) -> None:
        super().__init__()
        polynomials = agents_polynomials(n_levels, degree, n_agents, share_params, device)
        self.register_buffer("polynomials", polynomials, persistent=False)
        self.coefficients = AgentLinear(hidden_size, degree + 1, n_agents, share_params, device)

    def forward(self, x: Tensor) -> Tensor:
        return self.coefficients(x) @ self.polynomials
