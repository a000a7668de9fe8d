"""Linear layers of all agents at once.

Axes: ``A`` agents, ``N`` flattened batch.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from torchrl_drigm.modules._kernels.basic import add_product

__all__ = ["AgentLinear"]


class AgentLinear(nn.Module):
    """``torch.nn.Linear`` per agent on ``[A, N, in] -> [A, N, out]``."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        n_agents: int,
        share_params: bool,
        device: torch.device | str | None,
    ) -> None:
        super().__init__()
        agents = () if share_params else (n_agents,)
        self.weight = nn.Parameter(torch.empty(*agents, out_features, in_features, device=device))
        self.bias = nn.Parameter(torch.empty(*agents, out_features, device=device))
        self.reset_parameters(in_features)

    def reset_parameters(self, fan_in: int) -> None:
        bound = 1.0 / math.sqrt(fan_in)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -bound, bound)

    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        """``other`` is added; where each agent has a network, in the same pass."""
        if self.weight.ndim == 2:
            out = nn.functional.linear(x, self.weight, self.bias)
            return out if other is None else out + other
        if other is None:
            return add_product(self.bias.unsqueeze(-2), x, self.weight.transpose(1, 2))
        # the bias as the weight of a constant feature: no pass of its own over what comes out
        x = nn.functional.pad(x, (0, 1), value=1.0)
        weight = torch.cat([self.weight, self.bias.unsqueeze(-1)], -1)
        return add_product(other, x, weight.transpose(1, 2))
