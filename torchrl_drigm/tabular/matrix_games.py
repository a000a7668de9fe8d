"""One-shot games: a payoff for every joint action, and the end."""

from __future__ import annotations

import torch
from torch import Tensor

from torchrl_drigm.tabular.dec_pomdp import DecPOMDP

__all__ = ["NON_MONOTONE_GAME", "matrix_game"]

# Son et al. (2019), Table 1: each agent's best action depends on the other's, so that neither VDN
# nor QMIX represents it, and uniform play makes the action of the optimum look the worst of all.
NON_MONOTONE_GAME = ((8.0, -12.0, -12.0), (-12.0, 0.0, 0.0), (-12.0, 0.0, 0.0))


def matrix_game(payoff: Tensor, gamma: float = 0.9) -> DecPOMDP:
    """A game of one step: state 0 pays and leads to state 1, which is terminal.

    Args:
        payoff (Tensor): team reward of every joint action, ``[A_1, ..., A_N]``.
        gamma (float): discount; without effect on nominal values, as the next state is terminal.

    Examples:
        >>> game = matrix_game(NON_MONOTONE_GAME)
        >>> game
        DecPOMDP(n_states=2, n_actions=(3, 3), gamma=0.9, n_terminal=1)
        >>> game.reward[0, 0]
        tensor([  8., -12., -12.], dtype=torch.float64)
    """
    payoff = torch.as_tensor(payoff, dtype=torch.float64)
    kernel = torch.zeros(2, *payoff.shape, 2, dtype=torch.float64)
    kernel[..., 1] = 1.0
    reward = torch.stack([payoff, torch.zeros_like(payoff)])
    return DecPOMDP(kernel, reward, gamma, torch.tensor([False, True]))
