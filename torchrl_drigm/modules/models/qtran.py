"""QTRAN's joint action-value and state-value networks (Son et al. 2019; paper, Appendix F.2)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from torchrl_drigm.modules._fast_path import fast_path_of
from torchrl_drigm.modules.models._checks import state_batch_shape
from torchrl_drigm.modules.models.joint_action import JointActionEncoder

__all__ = ["QTRANJointValue", "QTRANStateValue"]


class _StateAndFeatures(nn.Module):
    """Global state and summed agent features in parallel, each through a linear layer."""

    def __init__(
        self,
        state_shape: int | Sequence[int],
        feature_size: int | None,
        hidden_size: int,
        device: torch.device | str | None,
        with_state: bool = True,
    ) -> None:
        super().__init__()
        if not with_state and feature_size is None:
            raise ValueError(
                "QTRAN: with_state=False and feature_size=None leave nothing that tells one step "
                "from another. Give the size of the agents' features."
            )
        self.state_shape = (state_shape,) if isinstance(state_shape, int) else tuple(state_shape)
        self.feature_size = feature_size
        self.state_encoder = (
            nn.Linear(math.prod(self.state_shape), hidden_size, device=device)
            if with_state
            else None
        )
        self.feature_encoder = (
            None if feature_size is None else nn.Linear(feature_size, hidden_size, device=device)
        )
        self.out_features = hidden_size * (with_state + (feature_size is not None))

    def forward(self, state: Tensor, features: Tensor | None) -> list[Tensor]:
        """Each layer's output before the ReLU, ``[*B, hidden_size]``."""
        batch = state_batch_shape("QTRAN", state, self.state_shape)
        if (features is None) != (self.feature_encoder is None):
            raise ValueError(
                f"the network was built with feature_size={self.feature_size} and received "
                f"{'no' if features is None else 'agent'} features. Build it with "
                "feature_size=None to leave them out, or name their key among the in_keys."
            )
        encoded = []
        if self.state_encoder is not None:
            encoded.append(self.state_encoder(state.flatten(len(batch))))
        if features is not None:
            # [*B, n_agents, F] -> [*B, F]
            encoded.append(self.feature_encoder(features.sum(-2)))
        return encoded


def _head(in_features: int, hidden_size: int, device: torch.device | str | None) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(in_features, hidden_size, device=device),
        nn.ReLU(),
        nn.Linear(hidden_size, 1, device=device),
    )


class QTRANJointValue(nn.Module):
    r"""QTRAN's joint action-value :math:`Q_{tot}(\mathbf h, \mathbf a)`, free of any structure.

    The concatenated one-hot joint action, the global state and the sum of the agents' features go
    through a linear layer with ReLU each, are concatenated, and end in a ReLU layer and a scalar
    (paper, Appendix F.2; the features are those of the DRQN, shared). The paper names the action
    and the features only: ``with_state=False``.

    Args:
        state_shape (int or tuple of int): shape of the global state without batch dimensions.
        n_agents (int): number of agents.
        n_actions (int): number of actions of each agent.
        feature_size (int, optional): size of each agent's features; ``None`` leaves them out.
        hidden_size (int): hidden units of every layer. Default: 64.
        device (torch.device, optional): where the parameters live.
        action_degree (int, optional): as :class:`JointActionEncoder` takes it.
        with_state (bool): whether the global state is read, or taken and left alone, as in the
            paper. Default: ``True``.

    Raises:
        ValueError: for neither state nor features.

    Examples:
        >>> import torch
        >>> from torchrl_drigm.modules import QTRANJointValue
        >>> joint = QTRANJointValue(state_shape=10, n_agents=6, n_actions=5, feature_size=64)
        >>> joint(torch.randn(8, 10), torch.randint(5, (8, 6)), torch.randn(8, 6, 64)).shape
        torch.Size([8, 1])
    """

    def __init__(
        self,
        state_shape: int | Sequence[int],
        n_agents: int,
        n_actions: int,
        feature_size: int | None = None,
        hidden_size: int = 64,
        device: torch.device | str | None = None,
        action_degree: int | None = None,
        with_state: bool = True,
    ) -> None:
        super().__init__()
        self.n_agents = n_agents
        self.n_actions = n_actions
        self.encoder = _StateAndFeatures(state_shape, feature_size, hidden_size, device, with_state)
        self.action_encoder = JointActionEncoder(
            n_agents, n_actions, hidden_size, device, action_degree
        )
        self.head = _head(self.encoder.out_features + hidden_size, hidden_size, device)

    def forward(self, state: Tensor, action: Tensor, features: Tensor | None = None) -> Tensor:
        """Joint action-value.

        Args:
            state (Tensor): ``[*B, *state_shape]``.
            action (Tensor): integers ``[*B, n_agents]`` or one-hot ``[*B, n_agents, n_actions]``.
            features (Tensor, optional): ``[*B, n_agents, feature_size]``.

        Returns:
            Tensor: ``[*B, 1]``.

        Raises:
            ValueError: if a shape is not as above, or features are missing or unexpected.
            IndexError: if an action is out of bounds.
        """
        return self._value(self.encoder(state, features), action)

    @fast_path_of(forward)
    def value_and_other(
        self, state: Tensor, action: Tensor, other: Tensor, features: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """What :meth:`forward` gives for a joint action, and for another one without gradient.

        State and features are encoded once.

        Args:
            state (Tensor): ``[*B, *state_shape]``.
            action (Tensor): integers ``[*B, n_agents]`` or one-hot ``[*B, n_agents, n_actions]``.
            other (Tensor): as ``action``.
            features (Tensor, optional): ``[*B, n_agents, feature_size]``.

        Returns:
            tuple: two tensors ``[*B, 1]``, the second one detached.

        Raises:
            ValueError: as :meth:`forward`.

        Examples:
            >>> joint = QTRANJointValue(state_shape=10, n_agents=6, n_actions=5)
            >>> state, action, other = torch.randn(8, 10), *torch.randint(5, (2, 8, 6))
            >>> value, other_value = joint.value_and_other(state, action, other)
            >>> torch.equal(value, joint(state, action)), torch.equal(
            ...     other_value, joint(state, other)
            ... )
            (True, True)
        """
        encoded = self.encoder(state, features)
        with torch.no_grad():
            other_value = self._value(encoded, other)
        return self._value(encoded, action), other_value

    def _value(self, encoded: list[Tensor], action: Tensor) -> Tensor:
        embedded = self.action_encoder.embed(action, encoded[0].shape[:-1])
        return self.head(torch.cat([*encoded, embedded], -1).relu())


class QTRANStateValue(nn.Module):
    r"""The baseline :math:`V_{tot}(\mathbf h)` of QTRAN.

    Global state and summed agent features in parallel, concatenated, to a scalar (paper, Appendix
    F.2). It makes up for what single agents cannot see of the team's value.

    Args:
        state_shape (int or tuple of int): shape of the global state without batch dimensions.
        feature_size (int, optional): size of each agent's features; ``None`` leaves them out.
        hidden_size (int): hidden units of every layer. Default: 64.
        device (torch.device, optional): where the parameters live.

    Examples:
        >>> import torch
        >>> from torchrl_drigm.modules import QTRANStateValue
        >>> QTRANStateValue(state_shape=10, feature_size=64)(
        ...     torch.randn(8, 10), torch.randn(8, 6, 64)
        ... ).shape
        torch.Size([8, 1])
    """

    def __init__(
        self,
        state_shape: int | Sequence[int],
        feature_size: int | None = None,
        hidden_size: int = 64,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        self.encoder = _StateAndFeatures(state_shape, feature_size, hidden_size, device)
        self.head = _head(self.encoder.out_features, hidden_size, device)

    def forward(self, state: Tensor, features: Tensor | None = None) -> Tensor:
        """State value.

        Args:
            state (Tensor): ``[*B, *state_shape]``.
            features (Tensor, optional): ``[*B, n_agents, feature_size]``.

        Returns:
            Tensor: ``[*B, 1]``.

        Raises:
            ValueError: if a shape is not as above, or features are missing or unexpected.
        """
        return self.head(torch.cat(self.encoder(state, features), -1).relu())
