"""Data of a known model: transitions of its nominal kernel.

Axes: ``B`` transitions, ``N`` agents, ``O`` observations (most of any agent), ``A`` actions (most
of any agent), ``S`` states. State and observations are one-hot, so that a linear layer is a table.
"""

from __future__ import annotations

import torch
from tensordict import TensorDict
from torch import Tensor, nn

from torchrl_drigm.tabular.dec_pomdp import DecPOMDP

__all__ = ["sample_transitions"]

ACTION = ("agents", "action")


def sample_transitions(
    model: DecPOMDP, n: int, generator: torch.Generator | None = None
) -> TensorDict:
    """Draws transitions of the nominal kernel, ``n`` of every state and joint action.

    The model is used as a generative one: states and joint actions are covered evenly, as by a
    uniformly exploring team that starts anywhere, and only the next state is random. Terminal
    states are not started from. The ``n`` next states of a pair are a systematic sample: each has
    the kernel's distribution, and together they are spread evenly over it, which leaves far less
    noise in their mean than independent ones have.

    Args:
        model (DecPOMDP): the task.
        n (int): next states per state and joint action.
        generator (torch.Generator, optional): source of the draw.

    Returns:
        TensorDict ``[B]``, ``B`` being ``n`` times the pairs of a state and a joint action, with
        ``state`` ``[B, S]``, ``("agents", "observation")`` ``[B, N, O]``, ``("agents", "action")``
        ``[B, N]``, and under ``"next"`` state, observation, ``reward``, ``done`` and ``terminated``
        ``[B, 1]``. Where agents differ in their number of actions, ``("agents", "action_mask")``
        ``[B, N, A]`` tells which exist.

    Raises:
        ValueError: if ``n`` is below 1 or every state is terminal.

    Examples:
        >>> model = DecPOMDP(torch.full((2, 2, 3, 2), 0.5), torch.zeros(2, 2, 3), gamma=0.9)
        >>> batch = sample_transitions(model, n=4)
        >>> batch.shape, batch["agents", "observation"].shape, batch["agents", "action_mask"][0]
        (torch.Size([48]), torch.Size([48, 2, 2]), tensor([[ True,  True, False],
            [ True,  True,  True]]))
    """
    if n < 1 or model.terminal.all():
        raise ValueError(
            f"n must be at least 1 and some state not terminal, got n={n} and {model!r}."
        )
    pairs = acting_pairs(model)  # [pairs, 1 + N]
    reached = model.kernel[pairs.unbind(-1)].cumsum(-1)  # [pairs, S']
    shift = torch.rand(len(pairs), 1, generator=generator, dtype=torch.float64)
    level = ((torch.arange(n) + shift) / n).clamp_max(1.0 - 1e-12)  # [pairs, n]
    # Divided by the last, or a level above what rounding left of 1 would reach an impossible state.
    next_state = torch.searchsorted(reached / reached[:, -1:], level, right=True).flatten()
    pairs = pairs.repeat_interleave(n, 0)  # [B, 1 + N]
    batch = look(model, pairs[:, 0])
    batch[ACTION] = pairs[:, 1:]
    batch["next"] = look(model, next_state)
    if model.outcome_reward is None:
        reward = model.reward[pairs.unbind(-1)]
    else:
        reward = model.outcome_reward[(*pairs.unbind(-1), next_state)]
    batch["next", "reward"] = reward.float().unsqueeze(-1)
    terminated = model.terminal[next_state].unsqueeze(-1)
    batch["next", "terminated"] = terminated
    batch["next", "done"] = terminated.clone()
    return batch


def acting_pairs(model: DecPOMDP) -> Tensor:
    """Every state that is not terminal with every joint action, ``[pairs, 1 + N]``."""
    return (~model.expand(model.terminal)).expand(model.reward.shape).nonzero()


def look(model: DecPOMDP, state: Tensor) -> TensorDict:
    """What is seen in each state, ``[B]``."""
    n_observations = int(model.observation.max()) + 1
    observation = nn.functional.one_hot(model.observation[state], n_observations).float()
    agents = TensorDict({"observation": observation}, [len(state), model.n_agents])
    if len(set(model.n_actions)) > 1:
        mask = torch.arange(max(model.n_actions)) < torch.tensor(model.n_actions).unsqueeze(-1)
        agents["action_mask"] = mask.expand(len(state), -1, -1)
    one_hot = nn.functional.one_hot(state, model.n_states).float()
    return TensorDict({"agents": agents, "state": one_hot}, [len(state)])
