"""Individual values from joint ones: decompositions, and the construction of Theorem 1."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from torchrl_drigm.tabular.dec_pomdp import DecPOMDP
from torchrl_drigm.tabular.policy_evaluation import greedy_joint_actions, optimal_values
from torchrl_drigm.tabular.value_iteration import model_under, robust_values, worst_case_kernel
from torchrl_drigm.uncertainty import UncertaintySet

__all__ = [
    "AdditiveDecomposition",
    "additive_decomposition",
    "anchored_decomposition",
    "robust_individual_values",
]


class AdditiveDecomposition(NamedTuple):
    """The sum over agents that is closest to joint values, and what it leaves.

    Attributes:
        values (tuple of Tensor): one ``[S, A_i]`` per agent.
        residual (Tensor): largest absolute error in each state, ``[S]``; 0 where VDN is exact.
    """

    values: tuple[Tensor, ...]
    residual: Tensor


def additive_decomposition(q: Tensor) -> AdditiveDecomposition:
    r"""Least-squares fit of :math:`\sum_i Q_i(s, a_i)` to joint values: what VDN can represent.

    Individual values are unique up to constants that add up to 0 over agents; here each agent's
    values have the same mean.

    Args:
        q (Tensor): joint action-values, ``[S, A_1, ..., A_N]``.

    Examples:
        >>> values, residual = additive_decomposition(torch.tensor([[[0.7, 0.4], [1.0, 0.7]]]))
        >>> values[0], values[1]
        (tensor([[0.2000, 0.5000]]), tensor([[0.5000, 0.2000]]))
        >>> additive_decomposition(torch.tensor([[[8.0, -12.0], [-12.0, 0.0]]])).residual
        tensor([8.])
    """
    if not q.is_floating_point():
        q = q.double()
    n_agents = q.ndim - 1
    grand = q.flatten(1).mean(1, keepdim=True)
    values, fit = [], torch.zeros_like(q)
    for agent in range(n_agents):
        others = [i + 1 for i in range(n_agents) if i != agent]
        mean = q.mean(others, keepdim=True) if others else q
        effect = mean - (1 - 1 / n_agents) * grand.reshape(-1, *[1] * n_agents)
        fit = fit + effect
        values.append(effect.flatten(1))
    return AdditiveDecomposition(tuple(values), (q - fit).abs().flatten(1).amax(1))


def anchored_decomposition(q: Tensor, joint_action: Tensor) -> tuple[Tensor, ...]:
    r"""Individual values as seen from one joint action: what an agent gains by departing alone.

    .. math::
        Q_i(s, a_i) = Q_{tot}(s, (a_i, \bar{\mathbf a}_{-i}))
            - \tfrac{N - 1}{N}\, Q_{tot}(s, \bar{\mathbf a})

    They add up to :math:`Q_{tot}` at :math:`\bar{\mathbf a}`, and everywhere where
    :math:`Q_{tot}` is additive. At an optimal :math:`\bar{\mathbf a}` each agent's
    :math:`\bar a_i` is a best action, so that IGM holds unless an agent can depart alone at no loss
    (then the agents' ties may combine to a joint action that is worse).

    Args:
        q (Tensor): joint action-values, ``[S, A_1, ..., A_N]``.
        joint_action (Tensor): :math:`\bar{\mathbf a}`, ``[S, N]`` int64.

    Returns:
        tuple of Tensor, one ``[S, A_i]`` per agent.

    Examples:
        >>> q = torch.tensor([[[0.75, 0.5], [0.25, 1.0]]])
        >>> anchored_decomposition(q, torch.tensor([[1, 1]]))
        (tensor([[0.0000, 0.5000]]), tensor([[-0.2500,  0.5000]]))
    """
    n_agents, states = q.ndim - 1, torch.arange(q.shape[0])
    joint_action = joint_action.long()  # an index of bytes would be a mask
    anchor = q[(states, *joint_action.unbind(-1))].unsqueeze(-1)
    values = []
    for agent in range(n_agents):
        index = [action.unsqueeze(-1) for action in joint_action.unbind(-1)]
        index[agent] = torch.arange(q.shape[1 + agent]).unsqueeze(0)
        slices = q[(states.unsqueeze(-1), *index)]  # [S, A_i]
        values.append(slices - (1 - 1 / n_agents) * anchor)
    return tuple(values)


def robust_individual_values(
    model: DecPOMDP,
    uncertainty: UncertaintySet,
    decompose: Callable[[Tensor, Tensor], tuple[Tensor, ...]] = anchored_decomposition,
    joint_action: Tensor | None = None,
) -> tuple[Tensor, ...]:
    r"""Robust individual values by Theorem 1's construction (Eq. 4-6).

    Find the robust greedy joint action :math:`\bar{\mathbf a}` and the kernel :math:`P^{worst}`
    that is worst there, and decompose the joint values under that one kernel:

    .. math::
        Q_i^{rob}(s, a_i) = Q_i^{P^{worst}(s, \bar{\mathbf a})}(s, a_i)

    In a rectangular set (Eq. 1) one kernel is the worst at every joint action at once. It is the
    one taken here, its joint values are the robust ones, and Theorem 1 holds. The last inclusion of
    its proof needs that kernel: a :math:`P^{worst}` that is worst at :math:`\bar{\mathbf a}` only,
    which Eq. 4 allows, may value another joint action higher (``P1`` of Example 1 is one, in the
    hull as well). In a finite set that is *not* rectangular there may be no other kind, and the
    construction may fail. The paper's Example 1 is such a case: both of its kernels are worst at
    both robust-optimal joint actions, and the individual values of either point elsewhere. (The
    paper prints those of agent 1 under one kernel beside those of agent 2 under the other.)

    Args:
        model (DecPOMDP): the task.
        uncertainty: any set. For a finite one that is not rectangular the kernel is chosen per
            state, the first where several are worst.
        decompose (callable): from joint values ``[S, A_1, ..., A_N]`` and a joint action ``[S, N]``
            to one ``[S, A_i]`` per agent. For Theorem 1 these must satisfy IGM for the joint values
            given. Default: :func:`anchored_decomposition`, exact where the values are additive.
        joint_action (Tensor, optional): which robust greedy joint action to take, ``[S, N]`` int64.
            Default: the first.

    Returns:
        tuple of Tensor, one ``[S, A_i]`` per agent.

    Raises:
        ValueError: if ``joint_action`` is not ``[S, N]`` or not greedy for the robust values.

    Examples:
        >>> from torchrl_drigm.tabular import check_drigm, random_dec_pomdp
        >>> model = random_dec_pomdp(4, (2, 3), seed=0, structure="additive")
        >>> from torchrl_drigm.uncertainty import TotalVariation
        >>> tv = TotalVariation(rho=0.2)
        >>> check_drigm(model, tv, robust_individual_values(model, tv)).holds
        True
    """
    robust_q = robust_values(model, uncertainty)
    greedy = greedy_joint_actions(robust_q)
    states = torch.arange(model.n_states)
    if joint_action is None:
        joint_action = greedy
    elif joint_action.shape != greedy.shape:
        raise ValueError(
            f"joint_action must be [S, N] = {list(greedy.shape)}, got {list(joint_action.shape)}."
        )
    joint_action = joint_action.long()
    best = robust_q.flatten(1).amax(1)
    short = best - robust_q[(states, *joint_action.unbind(-1))]
    if (short > 1e-8 * (1.0 + best.abs())).any():
        state = int(short.argmax())
        raise ValueError(
            f"joint_action must be greedy for the robust values; in state {state} "
            f"{joint_action[state].tolist()} is {short[state].item():.3g} short of "
            f"{greedy[state].tolist()}."
        )
    if uncertainty.rectangular:
        worst = worst_case_kernel(model, uncertainty, best)
        q = optimal_values(model_under(model, uncertainty, worst))[0][: model.n_states]
    else:
        models = [model_under(model, uncertainty, kernel) for kernel in uncertainty.kernels]
        per_kernel = torch.stack([optimal_values(task)[0] for task in models])
        at_greedy = per_kernel[(slice(None), states, *joint_action.unbind(-1))]  # [K, S]
        # Rounded, so that the first of several equal kernels is the first in the list.
        worst = at_greedy.round(decimals=10).argmin(0)
        q = per_kernel[worst, states]
    return decompose(q, joint_action)
