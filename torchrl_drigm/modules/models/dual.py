"""The network of the dual numbers of uncertainty sets."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from torchrl_drigm.modules.models._checks import check_sizes, state_batch_shape
from torchrl_drigm.modules.models.joint_action import JointActionEncoder

__all__ = ["DualNetwork"]


class DualNetwork(nn.Module):
    r"""The dual numbers of an uncertainty set: of total variation :math:`\eta(s, \mathbf{a})`.

    Global state and joint action (concatenated one-hot actions) are each embedded by a linear
    layer with ReLU, concatenated, passed through another such layer and projected to as many
    numbers as the set has (paper, Eq. 16-17 and Appendix F.2, for one). Categorical actions enter
    by a look-up that equals the one-hot product.

    Args:
        state_shape (int or tuple of int): shape of the global state without batch dimensions.
        n_agents (int): number of agents.
        n_actions (int): number of actions of each agent.
        hidden_size (int): hidden units of every layer. Default: 64.
        n_duals (int): dual numbers per state and joint action, ``n_duals`` of the set. Default: 1.
        device (torch.device, optional): where the parameters live.
        action_degree (int, optional): as :class:`JointActionEncoder` takes it.

    Examples:
        >>> import torch
        >>> from torchrl_drigm.modules import DualNetwork
        >>> dual = DualNetwork(state_shape=10, n_agents=6, n_actions=200)
        >>> state, action = torch.randn(64, 10), torch.randint(200, (64, 6))
        >>> dual(state, action).shape
        torch.Size([64, 1])
        >>> one_hot = torch.nn.functional.one_hot(action, 200)
        >>> torch.allclose(dual(state, one_hot), dual(state, action), atol=1e-6)
        True
    """

    def __init__(
        self,
        state_shape: int | Sequence[int],
        n_agents: int,
        n_actions: int,
        hidden_size: int = 64,
        device: torch.device | str | None = None,
        *,
        n_duals: int = 1,
        action_degree: int | None = None,
    ) -> None:
        super().__init__()
        check_sizes("dual network", n_duals=n_duals)
        self.state_shape = (state_shape,) if isinstance(state_shape, int) else tuple(state_shape)
        self.n_agents = n_agents
        self.n_actions = n_actions
        self.n_duals = n_duals
        self.state_encoder = nn.Linear(math.prod(self.state_shape), hidden_size, device=device)
        self.action_encoder = JointActionEncoder(
            n_agents, n_actions, hidden_size, device, action_degree
        )
        self.head = nn.Sequential(
            nn.Linear(2 * hidden_size, hidden_size, device=device),
            nn.ReLU(),
            nn.Linear(hidden_size, n_duals, device=device),
        )

    def forward(self, state: Tensor, action: Tensor) -> Tensor:
        """The dual numbers of state and joint action.

        Args:
            state (Tensor): ``[*B, *state_shape]``.
            action (Tensor): categorical, integers ``[*B, n_agents]``, or one-hot of any type
                ``[*B, n_agents, n_actions]``.

        Returns:
            Tensor: dual numbers ``[*B, n_duals]``, unbounded.

        Raises:
            ValueError: if a shape or type is not as above.
            IndexError: if an action is out of bounds.
        """
        batch = state_batch_shape("DualNetwork", state, self.state_shape)
        action = self.action_encoder.embed(action, batch)
        state = self.state_encoder(state.flatten(len(batch)))
        return self.head(torch.cat([state, action], -1).relu())
