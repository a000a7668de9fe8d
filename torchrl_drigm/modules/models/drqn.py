"""Deep recurrent Q-networks of the agents, over windows or sequences of their own history.

Axes: ``A`` agents, ``W`` window steps, ``T`` sequence steps, ``N`` flattened batch,
``F`` observation features, ``H`` hidden units, ``S`` numbers of recurrent state.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from torchrl_drigm.modules._fast_path import fast_path_of
from torchrl_drigm.modules._kernels.basic import look_up
from torchrl_drigm.modules.models._agent_linear import AgentLinear
from torchrl_drigm.modules.models._checks import check_sizes
from torchrl_drigm.modules.models._drqn_inputs import (
    check_chosen,
    check_options,
    check_recurrent,
    check_sequences,
    check_windows,
)
from torchrl_drigm.modules.models._feed_forward import FeedForward
from torchrl_drigm.modules.models._levels import LevelHead, agents_polynomials
from torchrl_drigm.modules.models._scaling import of_step, scaling
from torchrl_drigm.modules.models.multiagent_rnn import MultiAgentGRU, MultiAgentLSTM

__all__ = ["DRQN"]

CORES = {"lstm": MultiAgentLSTM, "gru": MultiAgentGRU, "none": FeedForward}


class DRQN(nn.Module):
    r"""Recurrent Q-networks of all agents over (observation, previous action) pairs.

    Per agent: the observation and the one-hot previous action go through a linear layer with
    ReLU, a recurrent core and a ReLU, and a linear head (paper, Section 4 and Appendix F.2; the
    ReLU after the core is that of the released configuration). The previous action enters by an
    embedding look-up: the same function as the one-hot product, at a fraction of its cost.

    Called, it sees a window of the last steps from a zero state, as in the paper, and gives the
    values of the last one. :meth:`unroll` carries the state along a sequence and gives the values
    of every step, as PyMARL trains StarCraft agents;
    :class:`~torchrl_drigm.modules.RecurrentDRQN` is that in a tensordict.

    Observations are scaled as ``(observation - observation_loc) / observation_scale`` before they
    enter. Do set these: features in raw units (22 °C beside a fraction in [0, 1]) saturate the
    gates, and explain most of the collapse that the published agents show off the training
    distribution.

    Args:
        observation_size (int): number of observation features ``F``.
        n_actions (int): number of actions of each agent.
        n_agents (int): number of agents.
        hidden_size (int): hidden units of encoder and core. Default: 64.
        core (str): ``"lstm"``, ``"gru"``, or ``"none"`` for a linear layer in its place, of agents
            that see one step alone. Default: ``"lstm"``.
        share_params (bool): one set of parameters for all agents. Default: ``False``.
        agent_id (bool): the one-hot index of the agent is an input too, for agents that share
            parameters. It enters by a look-up as well. Default: ``False``.
        action_degree (int, optional): for actions that are levels of one quantity, such as heating
            power: their values are a polynomial of this degree of the level, and the previous one
            enters by another, so that each step teaches about all levels (with 2, as normalized
            advantage functions do, Gu et al. 2016). Default: ``None``, each action for itself.
        observation_loc (Tensor or float, optional): broadcast to ``[F]`` or ``[A, F]``. Default: 0.
        observation_scale (Tensor or float, optional): the same, positive. Default: 1.
        with_features (bool): also return each agent's features, the input of the head, which
            QTRAN's networks share. Default: ``False``.
        device (torch.device, optional): where the parameters live.

    Raises:
        ValueError: for an unknown core, a scale that is not positive, or a location or scale that
            is not finite.

    Examples:
        >>> import torch
        >>> from tensordict.nn import TensorDictModule
        >>> from torchrl_drigm.modules import DRQN
        >>> drqn = DRQN(observation_size=5, n_actions=200, n_agents=6)
        >>> observation = torch.randn(64, 6, 8, 5)
        >>> previous_action = torch.randint(200, (64, 6, 8))
        >>> drqn(observation, previous_action).shape
        torch.Size([64, 6, 200])
        >>> qnet = TensorDictModule(
        ...     drqn,
        ...     in_keys=[("agents", "history", "observation"), ("agents", "history", "action")],
        ...     out_keys=[("agents", "action_value")],
        ... )
    """

    def __init__(
        self,
        observation_size: int,
        n_actions: int,
        n_agents: int,
        hidden_size: int = 64,
        core: str = "lstm",
        share_params: bool = False,
        agent_id: bool = False,
        action_degree: int | None = None,
        observation_loc: Tensor | Sequence[float] | float | None = None,
        observation_scale: Tensor | Sequence[float] | float | None = None,
        with_features: bool = False,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        check_sizes(
            "DRQN",
            observation_size=observation_size,
            n_actions=n_actions,
            n_agents=n_agents,
            hidden_size=hidden_size,
        )
        self.with_features = with_features
        check_options(core, CORES, share_params, agent_id)
        self.observation_size = observation_size
        self.n_actions = n_actions
        self.n_agents = n_agents
        self.hidden_size = hidden_size
        loc, scale = scaling(
            "observation", observation_loc, observation_scale, (observation_size,), device, n_agents
        )
        self.register_buffer("observation_loc", loc)
        self.register_buffer("observation_scale", scale)
        agents = () if share_params else (n_agents,)
        self.share_params = share_params
        options = n_agents, share_params, device
        self.encoder = AgentLinear(observation_size, hidden_size, *options)
        self.core = CORES[core](hidden_size, hidden_size, *options)
        polynomials = agents_polynomials(n_actions, action_degree, *options)
        self.register_buffer("polynomials", polynomials, persistent=False)
        size = n_actions if action_degree is None else action_degree + 1
        if action_degree is None:
            self.head = AgentLinear(hidden_size, n_actions, *options)
        else:
            self.head = LevelHead(hidden_size, n_actions, action_degree, *options)
        self.action_embedding = nn.Parameter(torch.empty(*agents, size, hidden_size, device=device))
        # encoder and embeddings are the parts of one linear layer over all inputs
        fan_in = observation_size + size + (n_agents if agent_id else 0)
        bound = 1.0 / math.sqrt(fan_in)
        self.encoder.reset_parameters(fan_in)
        nn.init.uniform_(self.action_embedding, -bound, bound)
        self.agent_embedding = None
        if agent_id:
            self.agent_embedding = nn.Parameter(torch.empty(n_agents, hidden_size, device=device))
            nn.init.uniform_(self.agent_embedding, -bound, bound)

    def forward(
        self, observation: Tensor, previous_action: Tensor
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Action values of the last step of a window.

        Args:
            observation (Tensor): ``[*B, n_agents, W, F]``, newest last.
            previous_action (Tensor): integers ``[*B, n_agents, W]``: at each step the action taken
                just before its observation.

        Returns:
            Tensor: action values ``[*B, n_agents, n_actions]``; and with ``with_features`` the
            features ``[*B, n_agents, hidden_size]``.

        Raises:
            ValueError: if a shape or type is not as above.
            IndexError: if an action is out of bounds.
        """
        last, agents = self._last_features(observation, previous_action), observation.shape[:-2]
        action_value = self.head(last.transpose(0, 1)).transpose(0, 1)
        action_value = action_value.reshape(*agents, self.n_actions)
        return (action_value, last.reshape(*agents, -1)) if self.with_features else action_value

    @fast_path_of(forward)
    def chosen_value(self, observation: Tensor, previous_action: Tensor, action: Tensor) -> Tensor:
        """What :meth:`forward` gives for one action of each agent, without the values of others.

        A loss needs no more; with many actions it saves most of the head's time.

        Args:
            observation (Tensor): ``[*B, n_agents, W, F]``, newest last.
            previous_action (Tensor): integers ``[*B, n_agents, W]``.
            action (Tensor): integers ``[*B, n_agents]``.

        Returns:
            Tensor: ``[*B, n_agents, 1]``.

        Raises:
            ValueError: if a shape or type is not as above.
            IndexError: if an action is out of bounds.

        Examples:
            >>> drqn = DRQN(observation_size=5, n_actions=4, n_agents=3)
            >>> windows = torch.randn(2, 3, 8, 5), torch.randint(4, (2, 3, 8))
            >>> action = torch.randint(4, (2, 3))
            >>> expected = drqn(*windows).gather(-1, action.unsqueeze(-1))
            >>> torch.allclose(drqn.chosen_value(*windows, action), expected, atol=1e-6)
            True
        """
        action = check_chosen(observation, action, self.n_actions)
        last = self._last_features(observation, previous_action).transpose(0, 1)
        value = self._values_of(last, action.reshape(-1, self.n_agents).t())
        return value.t().reshape(*action.shape, 1)

    @fast_path_of(forward)
    def greedy_and_chosen(
        self, observation: Tensor, previous_action: Tensor, action: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Greedy actions, and what :meth:`forward` gives for these and for ``action``.

        Gradients go through the values of two actions of each agent instead of all of them. Takes
        and refuses what :meth:`chosen_value` does.

        Returns:
            tuple: greedy actions int64 ``[*B, n_agents]``, values ``[*B, n_agents, 2]`` of the
            greedy and the given action, and features ``[*B, n_agents, hidden_size]``.

        Examples:
            >>> drqn = DRQN(observation_size=5, n_actions=4, n_agents=3)
            >>> windows = torch.randn(2, 3, 8, 5), torch.randint(4, (2, 3, 8))
            >>> action = torch.randint(4, (2, 3))
            >>> greedy, values, features = drqn.greedy_and_chosen(*windows, action)
            >>> torch.allclose(values[..., 0], drqn(*windows).amax(-1), atol=1e-6)
            True
        """
        action = check_chosen(observation, action, self.n_actions)
        features = self._last_features(observation, previous_action)
        last = features.transpose(0, 1)
        with torch.no_grad():
            greedy = self.head(last).argmax(-1)  # [A, N]
        both = torch.cat([greedy, action.reshape(-1, self.n_agents).t()], 1)
        values = self._values_of(torch.cat([last, last], 1), both).view(self.n_agents, 2, -1)
        values, agents = values.permute(2, 0, 1), action.shape  # [N, A, 2]
        return (
            greedy.t().reshape(agents),
            values.reshape(*agents, 2),
            features.reshape(*agents, -1),
        )

    def _values_of(self, features: Tensor, action: Tensor) -> Tensor:
        """Head's values of one action each: ``[A, N, H]`` and ``[A, N]`` -> ``[A, N]``."""
        if type(self.head) is not AgentLinear:  # of levels, or somebody put another one there
            return self.head(features).gather(-1, action.unsqueeze(-1)).squeeze(-1)
        bias = self.head.bias[action] if self.share_params else self.head.bias.gather(1, action)
        return torch.linalg.vecdot(self._rows(self.head.weight, action), features) + bias

    @property
    def _embeddings(self) -> Tensor:
        """What each previous action adds: ``[A, n_actions, H]``, or without ``A`` if shared."""
        table = self.action_embedding
        return table if self.polynomials is None else self.polynomials.mT @ table

    def _rows(self, table: Tensor, action: Tensor) -> Tensor:
        """Rows ``[A, N, H]`` for actions ``[A, N]``; shared tables have no agent dimension."""
        if self.share_params:
            return nn.functional.embedding(action, table)
        return look_up(table, action)

    def _last_features(self, observation: Tensor, previous_action: Tensor) -> Tensor:
        """What the head sees of the last step of a window, ``[N, A, H]``."""
        sizes = (self.n_agents, self.observation_size)
        previous_action = check_windows(observation, previous_action, sizes, self.n_actions)
        *_, n_agents, window, _ = observation.shape
        # [*B, A, W, F] -> [A, W * N, F]: agents lead, then time, as the core wants them
        x = (observation - self.observation_loc) / self.observation_scale
        x = x.reshape(-1, n_agents, window, self.observation_size).permute(1, 2, 0, 3)
        n_batch = x.shape[2]
        action = previous_action.reshape(-1, n_agents, window).permute(1, 2, 0)
        agent = None if self.agent_embedding is None else self.agent_embedding.unsqueeze(1)
        x = self._encode(x.flatten(1, 2), action.flatten(1, 2), self._embeddings, agent)
        # [A, W * N, H] -> [N, W, A, H]: a view, turned back without a copy
        x = x.view(n_agents, window, n_batch, -1).permute(2, 1, 0, 3)
        return self.core.final_state(x)[0].relu()

    @property
    def state_size(self) -> int:
        """``S``, numbers of recurrent state of an agent: ``H`` for a GRU, ``2H`` for an LSTM."""
        return self.core.n_states * self.hidden_size

    def unroll(
        self,
        observation: Tensor,
        previous_action: Tensor,
        state: Tensor | None = None,
        is_init: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Action values of every step of a sequence, along which the state is carried.

        Args:
            observation (Tensor): ``[*B, T, n_agents, F]``.
            previous_action (Tensor): integers ``[*B, T, n_agents]``. At the first step of an
                episode it is ``n_actions``, which stands for none: nothing enters in its place.
            state (Tensor, optional): recurrent state before the first step,
                ``[*B, n_agents, S]``, or before every step, ``[*B, T, n_agents, S]``, of which
                only those are used that something starts from. Default: zeros.
            is_init (Tensor, optional): flags ``[*B, T, 1]`` of steps at which nothing is carried
                over: they start from their own ``state`` if there is one of every step, otherwise
                from zeros.

        Returns:
            tuple: action values ``[*B, T, n_agents, n_actions]`` and the states after each step,
            ``[*B, T, n_agents, S]``.

        Raises:
            ValueError: if a shape or type is not as above, or the core has no state.
            IndexError: if an action is out of bounds.

        Examples:
            >>> drqn = DRQN(5, n_actions=4, n_agents=3, core="gru", share_params=True)
            >>> observation, action = torch.randn(2, 9, 3, 5), torch.randint(4, (2, 9, 3))
            >>> value, state = drqn.unroll(observation, action)
            >>> value.shape, state.shape
            (torch.Size([2, 9, 3, 4]), torch.Size([2, 9, 3, 64]))
            >>> first, state = drqn.unroll(observation[:, :5], action[:, :5])
            >>> last, _ = drqn.unroll(observation[:, 5:], action[:, 5:], state[:, -1])
            >>> torch.allclose(torch.cat([first, last], 1), value, atol=1e-6)
            True
        """
        check_recurrent(self.core)
        sizes = (self.n_agents, self.observation_size)
        previous_action = check_sequences(observation, previous_action, sizes, self.n_actions)
        x = (observation - of_step(self.observation_loc)) / of_step(self.observation_scale)
        action = self._agent_first(previous_action.unsqueeze(-1)).squeeze(-1)
        embedding = nn.functional.pad(self._embeddings, (0, 0, 0, 1))  # zeros for no action
        x = self._encode(self._agent_first(x), action, embedding, self.agent_embedding)
        x = self._agent_last(x, observation.shape)
        state = None if state is None else state.split(self.hidden_size, -1)
        states = self.core.states(x, state, is_init)
        value = self.head(self._agent_first(states[0].relu()))
        return self._agent_last(value, observation.shape), torch.cat(states, -1)

    def _agent_first(self, x: Tensor) -> Tensor:
        """``[*B, A, F] -> [A, N, F]``, where each agent has a network; else as it is."""
        return x if self.share_params else x.flatten(0, -3).transpose(0, 1)

    def _agent_last(self, x: Tensor, shape: torch.Size) -> Tensor:
        """Inverse of :meth:`_agent_first`; ``shape`` is ``[*B, A, ...]``."""
        return x if self.share_params else x.transpose(0, 1).unflatten(0, shape[:-2])

    def _encode(
        self, observation: Tensor, previous_action: Tensor, embedding: Tensor, agent: Tensor | None
    ) -> Tensor:
        """Features ``[A, N, H]`` of scaled observations ``[A, N, F]`` and actions ``[A, N]``.

        With shared parameters ``[*B, A]`` may stand for ``[A, N]``. ``agent`` is what the agents'
        indices add.
        """
        x = self.encoder(observation, self._rows(embedding, previous_action))
        return (x if agent is None else x + agent).relu_()
