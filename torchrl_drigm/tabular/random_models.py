"""Random small Dec-POMDPs: general ones, and ones that VDN or QMIX represents exactly."""

from __future__ import annotations

import torch
from torch import Tensor

from torchrl_drigm.tabular.dec_pomdp import DecPOMDP

__all__ = ["random_dec_pomdp"]

STRUCTURES = ("general", "additive", "monotone")


def random_dec_pomdp(
    n_states: int,
    n_actions: tuple[int, ...],
    seed: int,
    *,
    gamma: float = 0.9,
    structure: str = "general",
    n_terminal: int = 1,
    reward_range: tuple[float, float] = (-1.0, 1.0),
    margin: float = 0.3,
) -> DecPOMDP:
    r"""Draws a stochastic Dec-POMDP with termination and rewards of both signs.

    - ``"general"``: a random kernel with about a third of its entries 0, random rewards. Neither
      VDN nor QMIX represents its joint values.
    - ``"additive"``: rewards :math:`\sum_i r_i(s, a_i)`. Every state has two successors; the
      probability of the first is :math:`p(s) + \sum_i p_i(s, a_i)` and stays in
      ``[margin, 1 - margin]``. VDN represents the robust joint values exactly.
    - ``"monotone"``: rewards and the probability of the first of two successors are affine in
      :math:`g_s(\sum_i u_i(s, a_i))`, with :math:`g_s` increasing and far from linear. A monotone
      mixer represents the robust joint values exactly, VDN does not. (The usual mixer of QMIX is
      convex besides: :func:`~torchrl_drigm.tabular.representable` tells which models it can learn.)

    Why two successors: an expectation over two outcomes is affine in the probability ``p`` of one
    of them, and so is its worst case. Contamination only scales and shifts it. Total variation
    takes its mass ``rho`` from the better outcome alone as long as that outcome has it, which
    ``rho <= margin`` makes sure of. Which one is better depends on the state, not on the action.
    So :math:`Q^{rob}(s, \mathbf a)` is affine in the reward and ``p``: a sum over agents, or
    :math:`\alpha_s\, g_s(\sum_i u_i) + \beta_s`. (Where :math:`\alpha_s < 0`, the values that it
    is monotone in are :math:`-u_i`.) The kernel still depends on the actions, so that the two sets
    and the nominal model have different values.

    Args:
        n_states (int): number of states, terminal ones included; the last ``n_terminal`` are those.
        n_actions (tuple of int): number of actions of each agent.
        seed (int): of the draw; the same seed gives the same model.
        gamma (float): discount, in (0, 1).
        structure (str): ``"general"``, ``"additive"`` or ``"monotone"``.
        n_terminal (int): number of terminal states.
        reward_range (tuple of float): smallest and largest reward possible.
        margin (float): smallest probability of either successor, in (0, 0.5); the structured
            models keep their structure under total variation for ``rho <= margin``.

    Raises:
        ValueError: for an unknown structure, too few states, a range that is none, or a margin
            outside (0, 0.5).

    Examples:
        >>> model = random_dec_pomdp(5, (2, 3), seed=0, structure="additive")
        >>> model
        DecPOMDP(n_states=5, n_actions=(2, 3), gamma=0.9, n_terminal=1)
        >>> (model.kernel > 0).sum(-1).amax().item()
        2
    """
    if structure not in STRUCTURES:
        raise ValueError(f"structure must be one of {STRUCTURES}, got {structure!r}.")
    if not 0 <= n_terminal <= n_states - 2:
        raise ValueError(
            f"n_terminal must leave at least two other states, got n_terminal={n_terminal} of "
            f"n_states={n_states}."
        )
    low, high = reward_range
    if not low < high:
        raise ValueError(f"reward_range must be (smallest, largest), got {reward_range}.")
    if not 0.0 < margin < 0.5:
        raise ValueError(f"margin must be in (0, 0.5), got {margin}.")

    generator = torch.Generator().manual_seed(seed)
    shape = (n_states, *n_actions)
    if structure == "general":
        share = _rand(generator, *shape)
        kernel = _general_kernel(generator, shape)
    else:
        share, probability = _scores(generator, shape), _scores(generator, shape)
        if structure == "monotone":
            share = _bend(generator, share)
            # One score for both, or the sum of two bent scores would not be monotone in either.
            up = _rand(generator, n_states, *[1] * len(n_actions)) < 0.5
            probability = torch.where(up, share, 1.0 - share)
        probability = margin + (1.0 - 2.0 * margin) * probability
        kernel = _two_successors(generator, probability)

    reward = low + (high - low) * share
    terminal = torch.arange(n_states) >= n_states - n_terminal
    reward[terminal] = 0.0
    kernel[terminal] = 0.0
    for state in terminal.nonzero().squeeze(-1).tolist():
        kernel[state, ..., state] = 1.0
    return DecPOMDP(kernel, reward, gamma, terminal)


def _rand(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.rand(*shape, generator=generator, dtype=torch.float64)


def _general_kernel(generator: torch.Generator, shape: tuple[int, ...]) -> Tensor:
    # Exponential weights, normalised, are uniform on the simplex.
    weights = -torch.log1p(-_rand(generator, *shape, shape[0]))
    keep = _rand(generator, *shape, shape[0]) < 2 / 3
    keep |= torch.nn.functional.one_hot(weights.argmax(-1), shape[0]).bool()
    weights = weights * keep
    return weights / weights.sum(-1, keepdim=True)


def _scores(generator: torch.Generator, shape: tuple[int, ...]) -> Tensor:
    """Sums over agents of random terms, scaled to cover [0, 1] in every state."""
    n_states, n_actions = shape[0], shape[1:]
    total = torch.zeros(shape, dtype=torch.float64)
    for agent, n in enumerate(n_actions):
        axes = [n if i == agent else 1 for i in range(len(n_actions))]
        total = total + _rand(generator, n_states, n).reshape(n_states, *axes)
    flat = total.flatten(1)
    low, high = flat.amin(1), flat.amax(1)
    # All agents with a single action: nothing to scale by.
    span = torch.where(high > low, high - low, torch.ones_like(high))
    return ((flat - low.unsqueeze(-1)) / span.unsqueeze(-1)).reshape(shape)


def _bend(generator: torch.Generator, scores: Tensor) -> Tensor:
    """Increasing and curved, up or down, in every state: (exp(k x) - 1) / (exp(k) - 1)."""
    per_state = (scores.shape[0], *[1] * (scores.ndim - 1))
    k = 2.0 + 2.0 * _rand(generator, *per_state)
    k = torch.where(_rand(generator, *per_state) < 0.5, k, -k)
    return torch.expm1(k * scores) / torch.expm1(k)


def _two_successors(generator: torch.Generator, probability: Tensor) -> Tensor:
    n_states = probability.shape[0]
    kernel = torch.zeros(*probability.shape, n_states, dtype=torch.float64)
    for state in range(n_states):
        first, second = torch.randperm(n_states, generator=generator)[:2].tolist()
        kernel[state, ..., first] = probability[state]
        kernel[state, ..., second] = 1.0 - probability[state]
    return kernel
