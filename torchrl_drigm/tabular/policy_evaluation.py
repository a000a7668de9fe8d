"""Values under one fixed kernel, by exact linear solves."""

from __future__ import annotations

import torch
from torch import Tensor

from torchrl_drigm.tabular.dec_pomdp import DecPOMDP

__all__ = ["greedy_joint_actions", "optimal_values", "policy_evaluation"]


def greedy_joint_actions(q: Tensor) -> Tensor:
    """A joint action of the largest value in every state; the first where several tie.

    Args:
        q (Tensor): joint action-values, ``[S, A_1, ..., A_N]``.

    Returns:
        Tensor ``[S, N]`` int64, one action index per agent.

    Examples:
        >>> greedy_joint_actions(torch.tensor([[[0.0, 1.0], [2.0, 2.0]]]))
        tensor([[1, 0]])
    """
    return torch.stack(torch.unravel_index(q.flatten(1).argmax(1), q.shape[1:]), -1)


def policy_evaluation(
    model: DecPOMDP, policy: Tensor, kernel: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    r"""Exact values of a stationary joint policy under a kernel.

    Solves :math:`(I - \gamma P_\pi) V = r_\pi`.

    Args:
        model (DecPOMDP): the task.
        policy (Tensor): joint actions ``[S, N]`` int64, or probabilities of joint actions
            ``[S, A_1, ..., A_N]`` in floating point.
        kernel (Tensor, optional): ``[S, A_1, ..., A_N, S']``. Default: the nominal one. For a
            kernel with a fail state, take ``model.with_fail_state(worst_value)``. Rewards by next
            state go with it, as in a set that is joint with the reward. A kernel of another set
            leaves the expected reward as it is: the model is then
            :func:`~torchrl_drigm.tabular.model_under` it, and none is given here.

    Returns:
        ``Q`` ``[S, A_1, ..., A_N]`` and ``V`` ``[S]``.

    Raises:
        ValueError: for a policy of neither form, or a kernel that does not fit the model.

    Examples:
        >>> model = DecPOMDP(torch.ones(1, 2, 1), torch.tensor([[1.0, 2.0]]), gamma=0.5)
        >>> policy_evaluation(model, torch.tensor([[1]]))
        (tensor([[3., 4.]], dtype=torch.float64), tensor([4.], dtype=torch.float64))
    """
    if kernel is not None:
        model = model.with_kernel(kernel)
    weights = _joint_weights(model, policy).flatten(1)  # [S, A], A all joint actions
    reward, rows = model.reward.flatten(1), model.kernel.flatten(1, -2)  # [S, A], [S, A, S']
    transition = torch.einsum("sa,sat->st", weights, rows)
    system = torch.eye(model.n_states, dtype=torch.float64) - model.gamma * transition
    v = torch.linalg.solve(system, (weights * reward).sum(-1))
    # A terminal state pays 0 and stays, so that the solve gives 0; say so to the last bit.
    v = v.masked_fill(model.terminal, 0.0)
    return model.reward + model.gamma * (model.kernel @ v), v


def _joint_weights(model: DecPOMDP, policy: Tensor) -> Tensor:
    shape = model.reward.shape
    if policy.is_floating_point():
        # written so that a NaN fails it too
        if (
            policy.shape != shape
            or not (policy >= 0).all()
            or not torch.allclose(
                policy.flatten(1).sum(1).double(), torch.ones(shape[0], dtype=torch.float64)
            )
        ):
            raise ValueError(
                "a stochastic policy must be probabilities of joint actions [S, A_1, ..., A_N] = "
                f"{list(shape)}, none negative, that sum to 1 in every state, got "
                f"{list(policy.shape)}, smallest {policy.min().item():.3g}."
            )
        return policy.double()
    limits = torch.tensor(model.n_actions)
    if (
        policy.dtype == torch.bool
        or policy.shape != (model.n_states, model.n_agents)
        or ((policy < 0) | (policy >= limits)).any()
    ):
        raise ValueError(
            "a deterministic policy must be action indices [S, N] = "
            f"{[model.n_states, model.n_agents]}, each below {list(model.n_actions)}, got "
            f"{policy.dtype} {list(policy.shape)}."
        )
    weights = torch.zeros(shape, dtype=torch.float64)
    # an index of bytes would be a mask
    weights[(torch.arange(model.n_states), *policy.long().unbind(-1))] = 1.0
    return weights


def optimal_values(model: DecPOMDP, kernel: Tensor | None = None) -> tuple[Tensor, Tensor]:
    r"""Optimal values :math:`Q^P_{tot} = \max_\pi Q^{P,\pi}_{tot}` under one kernel, exactly.

    By policy iteration, which ends after finitely many linear solves.

    Args:
        model (DecPOMDP): the task.
        kernel (Tensor, optional): as :func:`policy_evaluation` takes it.

    Returns:
        ``Q`` ``[S, A_1, ..., A_N]`` and ``V`` ``[S]``.

    Raises:
        ValueError: for a kernel that does not fit the model.

    Examples:
        >>> model = DecPOMDP(torch.ones(1, 2, 1), torch.tensor([[1.0, 2.0]]), gamma=0.5)
        >>> optimal_values(model)[0]
        tensor([[3., 4.]], dtype=torch.float64)
    """
    if kernel is not None:
        model = model.with_kernel(kernel)
    policy = greedy_joint_actions(model.reward)
    states = torch.arange(model.n_states)
    while True:
        q, v = policy_evaluation(model, policy)
        better = greedy_joint_actions(q)
        gain = q[(states, *better.unbind(-1))] - v
        # Rounding must not send it round and round between policies of one value.
        better = torch.where((gain > 1e-12 * (1.0 + v.abs())).unsqueeze(-1), better, policy)
        if torch.equal(better, policy):
            return q, q.flatten(1).amax(1)
        policy = better
