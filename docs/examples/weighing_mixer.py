"""A mixer of one's own, which weighs the agents by what all of them see. This file is all of it."""

import torch
from torch import nn
from torch.nn.functional import softplus

__all__ = ["WeighingMixer"]


class WeighingMixer(nn.Module):
    r"""``b(s, o) + Σ w_i(s, o) Q_i`` with positive weights.

    Each agent's greedy action is then its part of the greedy joint action, for robust values as for
    nominal ones. A mixer that falls where some ``Q_i`` rises breaks that.

    Args:
        n_agents (int): given, as are the next two, since the constructor asks for them.
        state_shape (tuple of int): shape of the state.
        observation_size (int): features of an agent's observation.
        hidden_size (int): units of the hidden layer; from ``mixer.options``.
    """

    # what forward takes, in its order; any entry of the data
    in_keys = [
        ("agents", "chosen_action_value"),  # [*B, n_agents, 1]
        "state",  # [*B, S]
        ("agents", "observation"),  # [*B, n_agents, F]
    ]

    def __init__(self, n_agents, state_shape, observation_size, hidden_size=32, device=None):
        super().__init__()
        inputs = state_shape[-1] + n_agents * observation_size
        self.net = nn.Sequential(
            nn.Linear(inputs, hidden_size, device=device),
            nn.ReLU(),
            nn.Linear(hidden_size, n_agents + 1, device=device),
        )

    def forward(self, chosen, state, observation):
        """The team value, ``[*B, 1]``."""
        out = self.net(torch.cat([state, observation.flatten(-2)], -1))
        weights, bias = softplus(out[..., 1:]), out[..., :1]
        return bias + (weights * chosen.squeeze(-1)).sum(-1, keepdim=True)
