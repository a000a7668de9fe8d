"""Encoder of joint actions, shared by the networks that read (state, joint action)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from torchrl_drigm.modules._kernels.basic import look_up
from torchrl_drigm.modules.models._checks import as_actions, check_sizes, is_integral
from torchrl_drigm.modules.models._levels import agents_polynomials

__all__ = ["JointActionEncoder"]


class JointActionEncoder(nn.Module):
    """The concatenated one-hot actions of a team, through a linear layer with ReLU.

    Categorical actions enter by a look-up that equals the one-hot product.

    Args:
        n_agents (int): number of agents.
        n_actions (int): number of actions of each agent.
        hidden_size (int): size of the embedding.
        device (torch.device, optional): where the parameters live.
        action_degree (int, optional): for actions that are levels of one quantity: each enters by
            a polynomial of this degree of its level. Default: ``None``, each level for itself.

    Raises:
        ValueError: for a size below 1, or a degree that is not below ``n_actions``.

    Examples:
        >>> import torch
        >>> from torchrl_drigm.modules import JointActionEncoder
        >>> encoder = JointActionEncoder(n_agents=3, n_actions=5, hidden_size=8)
        >>> action = torch.randint(5, (4, 3))
        >>> one_hot = torch.nn.functional.one_hot(action, 5)
        >>> torch.allclose(encoder(action, [4]), encoder(one_hot, [4]), atol=1e-6)
        True
    """

    def __init__(
        self,
        n_agents: int,
        n_actions: int,
        hidden_size: int,
        device: torch.device | str | None = None,
        action_degree: int | None = None,
    ) -> None:
        super().__init__()
        check_sizes("joint action", n_agents=n_agents, n_actions=n_actions, hidden_size=hidden_size)
        self.n_agents = n_agents
        self.n_actions = n_actions
        polynomials = agents_polynomials(n_actions, action_degree, n_agents, False, device)
        self.register_buffer("polynomials", polynomials, persistent=False)
        size = n_actions if action_degree is None else action_degree + 1
        # one linear layer over n_agents * size inputs, kept as rows that can be looked up
        self.weight = nn.Parameter(torch.empty(n_agents, size, hidden_size, device=device))
        self.bias = nn.Parameter(torch.empty(hidden_size, device=device))
        bound = 1.0 / math.sqrt(n_agents * size)
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, action: Tensor, batch_size: Sequence[int]) -> Tensor:
        """Embed joint actions.

        Args:
            action (Tensor): categorical, integers ``[*B, n_agents]``, or one-hot of any type
                ``[*B, n_agents, n_actions]``.
            batch_size (sequence of int): ``[*B]``, which tells the two apart.

        Returns:
            Tensor: embedding ``[*B, hidden_size]``, after the ReLU.

        Raises:
            ValueError: if the shape or type is neither.
            IndexError: if an action is out of bounds.
        """
        return self.embed(action, batch_size).relu()

    def embed(self, action: Tensor, batch_size: Sequence[int]) -> Tensor:
        """:meth:`forward` before its ReLU."""
        batch = tuple(batch_size)
        table = self.weight if self.polynomials is None else self.polynomials.mT @ self.weight
        if is_integral(action) and action.shape == (*batch, self.n_agents):
            action = as_actions("joint action", action, self.n_actions)
            # [*B, A] -> [A, N] -> [A, N, H] -> [*B, H]
            rows = look_up(table, action.reshape(-1, self.n_agents).t())
            return rows.sum(0).reshape(*batch, -1) + self.bias
        if action.shape == (*batch, self.n_agents, self.n_actions):
            table = table.flatten(0, 1)
            return action.flatten(-2).to(table.dtype) @ table + self.bias
        raise ValueError(
            f"expected int64 action of shape {[*batch, self.n_agents]} or one-hot action of shape "
            f"{[*batch, self.n_agents, self.n_actions]}, received {action.dtype} of shape "
            f"{list(action.shape)}. Give state and action the same batch dimensions."
        )
