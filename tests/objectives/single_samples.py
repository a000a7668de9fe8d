"""Batches from which a dual network learns the worst case of one distribution per state."""

import torch
from tensordict import TensorDict


def draw_steps(values, probs, n=512):
    """``n`` transitions of one agent: states in turn, the next value drawn from its own row.

    Args:
        values (Tensor): next values, ``[S, K]``.
        probs (Tensor): their probabilities, ``[S, K]``.
        n (int): number of transitions.
    """
    state = torch.arange(n) % len(values)
    value = values[state].gather(-1, torch.multinomial(probs[state], 1))  # [n, 1]
    no = torch.zeros(n, 1, dtype=torch.bool)
    return TensorDict(
        {
            "agents": {
                "observation": torch.zeros(n, 1, 1),
                "action": torch.zeros(n, 1, dtype=torch.long),
            },
            "state": state[:, None].float(),
            "next": {
                "agents": {"observation": value[:, None]},
                "reward": torch.zeros(n, 1),
                "terminated": no,
                "done": no,
            },
        },
        [n],
    )
