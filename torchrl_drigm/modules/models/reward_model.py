"""GroupDR's reward model: one reward network for each training environment, or group.

Axes: ``G`` groups, ``N`` flattened batch, ``H`` hidden units.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from torchrl_drigm.modules.models._agent_linear import AgentLinear
from torchrl_drigm.modules.models._checks import check_sizes, state_batch_shape
from torchrl_drigm.modules.models.joint_action import JointActionEncoder

__all__ = ["GroupRewardModel"]


class GroupRewardModel(nn.Module):
    r"""The team reward :math:`\hat r_g(s, \mathbf a)` that each training environment would pay.

    One network per group, with no parameter shared: global state and joint action are each
    embedded by a linear layer with ReLU, concatenated, passed through another such layer and
    projected to a scalar, as in :class:`~torchrl_drigm.modules.DualNetwork`. All groups are
    computed at once. The minimum over the groups is GroupDR's worst-case reward (paper, Appendix
    F.2; Liu et al. 2025).

    States enter as ``(state - state_loc) / state_scale``, and rewards leave as ``reward_loc +
    reward_scale * output``, so that data in any unit is learned well. :meth:`set_scaling` sets
    these four buffers from data; before, they do nothing.

    Args:
        n_groups (int): number of groups.
        state_shape (int or tuple of int): shape of the global state without batch dimensions.
        n_agents (int): number of agents.
        n_actions (int): number of actions of each agent.
        hidden_size (int): hidden units of every layer of a group. Default: 64.
        device (torch.device, optional): where the parameters live.

    Raises:
        ValueError: if a size is below 1.

    Examples:
        >>> import torch
        >>> from torchrl_drigm.modules import GroupRewardModel
        >>> model = GroupRewardModel(n_groups=5, state_shape=10, n_agents=6, n_actions=200)
        >>> state, action = torch.randn(64, 10), torch.randint(200, (64, 6))
        >>> model.set_scaling(state, reward=-100 * torch.rand(64, 1))
        >>> reward = model(state, action)
        >>> reward.shape, reward.amin(-1, keepdim=True).shape
        (torch.Size([64, 5]), torch.Size([64, 1]))
    """

    def __init__(
        self,
        n_groups: int,
        state_shape: int | Sequence[int],
        n_agents: int,
        n_actions: int,
        hidden_size: int = 64,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        check_sizes("GroupRewardModel", n_groups=n_groups, hidden_size=hidden_size)
        self.n_groups = n_groups
        self.state_shape = (state_shape,) if isinstance(state_shape, int) else tuple(state_shape)
        self.n_agents = n_agents
        self.n_actions = n_actions
        # The first layers of all groups read the same input: one layer G times as wide.
        wide = n_groups * hidden_size
        self.state_encoder = nn.Linear(math.prod(self.state_shape), wide, device=device)
        self.action_encoder = JointActionEncoder(n_agents, n_actions, wide, device)
        # One layer per group, where AgentLinear has one per agent.
        self.hidden = AgentLinear(2 * hidden_size, hidden_size, n_groups, False, device)
        self.head = AgentLinear(hidden_size, 1, n_groups, False, device)
        for name, shape in (("state", self.state_shape), ("reward", ())):
            self.register_buffer(f"{name}_loc", torch.zeros(shape, device=device))
            self.register_buffer(f"{name}_scale", torch.ones(shape, device=device))

    @torch.no_grad()
    def set_scaling(self, state: Tensor, reward: Tensor) -> None:
        """Set location and scale to mean and standard deviation of data, over all groups.

        What hardly varies keeps its scale.

        Args:
            state (Tensor): ``[*B, *state_shape]``.
            reward (Tensor): ``[*B, 1]``, or any other shape.

        Raises:
            ValueError: if data is not finite, or there are fewer than two entries.
        """
        rows = {"state": state.reshape(-1, *self.state_shape), "reward": reward.reshape(-1)}
        for name, values in rows.items():
            if len(values) < 2 or not values.isfinite().all():
                raise ValueError(
                    f"set_scaling: {name} must hold at least two entries, all finite; received "
                    f"{len(values)}, of which {int((~values.isfinite()).sum())} numbers are not "
                    "finite. Drop such transitions first."
                )
        for name, values in rows.items():
            # in place: a loss that owns this model shares its buffers
            std, loc = torch.std_mean(values, dim=0)
            getattr(self, f"{name}_loc").copy_(loc)
            varies = std > 1e-4 * loc.abs().clamp_min(1e-4)
            getattr(self, f"{name}_scale").copy_(torch.where(varies, std, 1.0))

    def forward(self, state: Tensor, action: Tensor) -> Tensor:
        """Predicted rewards of all groups.

        Args:
            state (Tensor): ``[*B, *state_shape]``.
            action (Tensor): categorical, integers ``[*B, n_agents]``, or one-hot of any type
                ``[*B, n_agents, n_actions]``.

        Returns:
            Tensor: predicted team rewards ``[*B, n_groups]``.

        Raises:
            ValueError: if a shape or type is not as above.
            IndexError: if an action is out of bounds.
        """
        batch = state_batch_shape("GroupRewardModel", state, self.state_shape)
        scaled = (state - self.state_loc) / self.state_scale
        embedded = (
            self.state_encoder(scaled.flatten(len(batch))).relu(),
            self.action_encoder(action, batch),
        )
        # [*B, G * H] -> [N, G, H] each; [N, G, 2 H] -> [G, N, 2 H]
        x = torch.cat([part.reshape(batch.numel(), self.n_groups, -1) for part in embedded], -1)
        x = self.head(self.hidden(x.transpose(0, 1)).relu())
        # [G, N, 1] -> [*B, G]
        x = x.squeeze(-1).t().reshape(*batch, self.n_groups)
        return self.reward_loc + self.reward_scale * x
