"""Exact robust values of a finite Dec-POMDP, and the kernel that attains them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor

from torchrl_drigm.tabular.dec_pomdp import DecPOMDP
from torchrl_drigm.tabular.policy_evaluation import optimal_values
from torchrl_drigm.uncertainty import UncertaintySet

__all__ = [
    "RobustValues",
    "model_under",
    "random_kernel",
    "robust_bellman",
    "robust_value_iteration",
    "robust_values",
    "worst_case_kernel",
]

_EPS = torch.finfo(torch.float64).eps


@dataclass(frozen=True, eq=False)
class RobustValues:
    """What :func:`robust_value_iteration` found.

    Attributes:
        q (Tensor): robust joint action-values, ``[S, A_1, ..., A_N]``.
        v (Tensor): robust state values, the largest ``q`` of each state, ``[S]``.
        iterations (int): applications of the robust Bellman operator.
        residual (float): largest change of ``q`` in the last of them.
        contraction (float): largest ratio of two successive changes seen: at most ``gamma``.
    """

    q: Tensor
    v: Tensor
    iterations: int
    residual: float
    contraction: float


def robust_bellman(model: DecPOMDP, uncertainty: UncertaintySet, values: Tensor) -> Tensor:
    r"""One application of the robust Bellman operator (Eq. 2), from state values.

    .. math::
        Q(s, \mathbf a) = r(s, \mathbf a)
            + \gamma \inf_{P \in \mathcal P_{s, \mathbf a}} \mathbb E_{s' \sim P}[V(s')]

    and for a set that is joint with the reward
    :math:`\inf_P \mathbb E_{s' \sim P}[r(s, \mathbf a, s') + \gamma V(s')]`.

    Args:
        model (DecPOMDP): the task.
        uncertainty: a rectangular set.
        values (Tensor): state values ``V``, ``[S]``; those of terminal states count as 0.

    Returns:
        Tensor ``[S, A_1, ..., A_N]``; 0 in terminal states.

    Raises:
        ValueError: if the set is not rectangular, or ``values`` is not ``[S]`` or not finite.

    Examples:
        >>> kernel = torch.tensor([0.5, 0.5]).expand(2, 1, 2)
        >>> model = DecPOMDP(kernel, torch.zeros(2, 1), gamma=0.5)
        >>> from torchrl_drigm.uncertainty import TotalVariation
        >>> robust_bellman(model, TotalVariation(0.25), torch.tensor([1.0, 3.0])).squeeze()
        tensor([0.7500, 0.7500], dtype=torch.float64)
    """
    values = _outcome_values(model, uncertainty, values)
    q = uncertainty.expectation(model.kernel, values)
    if not uncertainty.joint_with_reward:
        q = model.reward + model.gamma * q
    return q.masked_fill(model.expand(model.terminal), 0.0)


def robust_value_iteration(
    model: DecPOMDP,
    uncertainty: UncertaintySet,
    *,
    atol: float = 1e-10,
    max_iterations: int = 100_000,
) -> RobustValues:
    r"""Fixed point of the robust Bellman operator (Eq. 2), by value iteration from zero.

    The operator is a :math:`\gamma`-contraction in the largest absolute value, so that the result
    is within :math:`\gamma / (1 - \gamma)` residuals of the fixed point: at most ``atol``, or
    what rounding leaves of it.

    Args:
        model (DecPOMDP): the task.
        uncertainty: a rectangular set.
        atol (float): largest error of ``q``.
        max_iterations (int): when to give up.

    Raises:
        ValueError: if the set is not rectangular.
        RuntimeError: if a step grew by more than ``gamma``, which no correct set can do, or there
            was no convergence within ``max_iterations``.

    Examples:
        >>> kernel, reward = torch.tensor([[[0.5, 0.5]], [[0.0, 1.0]]]), torch.tensor([[1.0], [0]])
        >>> model = DecPOMDP(kernel, reward, gamma=0.5, terminal=torch.tensor([False, True]))
        >>> from torchrl_drigm.uncertainty import Nominal, TotalVariation
        >>> robust_value_iteration(model, Nominal()).v  # v = 1 + 0.5 * 0.5 v
        tensor([1.3333, 0.0000], dtype=torch.float64)
        >>> robust_value_iteration(model, TotalVariation(rho=0.25)).v  # 1 + 0.5 * 0.25 v
        tensor([1.1429, 0.0000], dtype=torch.float64)
    """
    gamma = model.gamma
    v = torch.zeros(model.n_states, dtype=torch.float64)
    # The first q is of v = 0: two steps make the first ratio.
    q, contraction, before = robust_bellman(model, uncertainty, v), 0.0, None
    for iteration in range(2, max_iterations + 1):
        v = q.flatten(1).amax(1)
        q_next = robust_bellman(model, uncertainty, v)
        residual = (q_next - q).abs().max().item()
        rounding = 8 * _EPS * max(1.0, q_next.abs().max().item())
        # A change not far above rounding says nothing about the operator.
        if before is not None and before > 1e7 * rounding:
            contraction = max(contraction, residual / before)
            if not contraction <= gamma + 1e-6:
                raise RuntimeError(
                    f"the robust Bellman operator is no {gamma}-contraction: a step of "
                    f"{before:.3g} was followed by one of {residual:.3g}. Check expectation() of "
                    f"{uncertainty}: an infimum of expectations never changes by more than its "
                    "values do."
                )
        q, before = q_next, residual
        if residual * gamma <= atol * (1 - gamma) or residual <= rounding:
            return RobustValues(q, q.flatten(1).amax(1), iteration, residual, contraction)
    raise RuntimeError(
        f"no convergence to atol={atol:g} within max_iterations={max_iterations}; about "
        f"{gamma=} needs log(atol) / log(gamma) iterations: raise max_iterations or atol."
    )


def robust_values(model: DecPOMDP, uncertainty: UncertaintySet) -> Tensor:
    r"""Robust joint action-values :math:`Q^{\mathcal P}_{tot} = \inf_P Q^P_{tot}` (Eq. 3).

    By value iteration for a rectangular set, and kernel by kernel for a finite one that is not.

    Args:
        model (DecPOMDP): the task.
        uncertainty: any set.

    Returns:
        Tensor ``[S, A_1, ..., A_N]``.

    Examples:
        >>> from torchrl_drigm.tabular import example_1
        >>> example = example_1()
        >>> robust_values(example.model, example.uncertainty)[0]
        tensor([[0.7000, 0.4000],
                [0.6000, 0.7000]], dtype=torch.float64)
    """
    if uncertainty.rectangular:
        return robust_value_iteration(model, uncertainty).q
    models = [model_under(model, uncertainty, kernel) for kernel in uncertainty.kernels]
    return torch.stack([optimal_values(task)[0] for task in models]).amin(0)


def model_under(model: DecPOMDP, uncertainty: UncertaintySet, kernel: Tensor) -> DecPOMDP:
    """The task as a kernel of a set makes it.

    Where the set has a ``worst_value`` it has a fail state. Rewards by next state follow the kernel
    where the set is joint with the reward; otherwise the adversary leaves the reward
    ``r(s, a)`` of every state and joint action as it is.

    Args:
        model (DecPOMDP): the task.
        uncertainty: any set.
        kernel (Tensor): as :func:`worst_case_kernel` returns it.

    Raises:
        ValueError: for a kernel that does not fit the model.

    Examples:
        >>> from torchrl_drigm.tabular import optimal_values, random_dec_pomdp
        >>> from torchrl_drigm.uncertainty import TotalVariation
        >>> model, tv = random_dec_pomdp(4, (2, 2), seed=0), TotalVariation(0.2, worst_value=-9.0)
        >>> robust = robust_value_iteration(model, tv)
        >>> worst = model_under(model, tv, worst_case_kernel(model, tv, robust.v))
        >>> torch.allclose(optimal_values(worst)[0][:4], robust.q)
        True
    """
    joint = uncertainty.joint_with_reward
    if uncertainty.worst_value is not None:
        model = model.with_fail_state(uncertainty.worst_value, joint_with_reward=joint)
    return model.with_kernel(kernel) if joint else dataclasses.replace(model, kernel=kernel)


def worst_case_kernel(model: DecPOMDP, uncertainty: UncertaintySet, values: Tensor) -> Tensor:
    r"""Worst kernel of a rectangular set, :math:`P^{worst}` (Eq. 4), at all (s, a) at once.

    In a rectangular set one kernel is the worst at every state and joint action. At the fixed point
    of the robust Bellman operator its optimal values, those of :func:`model_under` it, are the
    robust values.

    Args:
        model (DecPOMDP): the task.
        uncertainty: a rectangular set.
        values (Tensor): state values, ``[S]``; for :math:`P^{worst}` the robust ones.

    Returns:
        Tensor ``[S, A_1, ..., A_N, S']``. Where the set has a ``worst_value``, the fail state is
        made explicit and comes last: the kernel is that of a ``model.with_fail_state(...)``,
        ``[S + 1, A_1, ..., A_N, S' + 1]``.

    Raises:
        ValueError: if the set is not rectangular, or ``values`` is not ``[S]`` or not finite.

    Examples:
        >>> kernel = torch.tensor([0.5, 0.5]).expand(2, 1, 2)
        >>> model, values = DecPOMDP(kernel, torch.zeros(2, 1), 0.5), torch.tensor([1.0, 3.0])
        >>> from torchrl_drigm.uncertainty import TotalVariation
        >>> worst_case_kernel(model, TotalVariation(0.25), values)[0]
        tensor([[0.7500, 0.2500]], dtype=torch.float64)
        >>> worst_case_kernel(model, TotalVariation(0.25, worst_value=0.0), values).squeeze(1)
        tensor([[0.5000, 0.2500, 0.2500],
                [0.5000, 0.2500, 0.2500],
                [0.0000, 0.0000, 1.0000]], dtype=torch.float64)
    """
    values = _outcome_values(model, uncertainty, values)
    return _complete(model, uncertainty, uncertainty.worst_kernel(model.kernel, values))


def random_kernel(model: DecPOMDP, uncertainty: UncertaintySet, seed: int) -> Tensor:
    """A kernel drawn from the set, of the shape that :func:`worst_case_kernel` returns.

    Examples:
        >>> from torchrl_drigm.tabular import random_dec_pomdp
        >>> from torchrl_drigm.uncertainty import TotalVariation
        >>> model, tv = random_dec_pomdp(4, (2, 2), seed=0), TotalVariation(rho=0.2)
        >>> tv.contains(model.kernel, random_kernel(model, tv, seed=1)).all()
        tensor(True)
    """
    generator = torch.Generator().manual_seed(seed)
    return _complete(model, uncertainty, uncertainty.sample(model.kernel, generator))


def _outcome_values(model: DecPOMDP, uncertainty: UncertaintySet, values: Tensor) -> Tensor:
    """What the set is over: ``V'`` ``[S']``, or ``r + gamma V'`` ``[S, A_1, ..., A_N, S']``."""
    if not uncertainty.rectangular:
        raise ValueError(
            f"{uncertainty} is not rectangular (Eq. 1): the adversary has one kernel for all "
            "states, and no Bellman operator describes it. Take robust_values(), or the set's hull "
            "by rectangular=True."
        )
    if values.shape != (model.n_states,):
        raise ValueError(
            f"values must be one per state, [S] = [{model.n_states}], got {list(values.shape)}."
        )
    if not values[~model.terminal].isfinite().all():
        raise ValueError(
            f"values must be finite, got {values.tolist()}. Those of terminal states count as 0."
        )
    values = values.to(torch.float64).masked_fill(model.terminal, 0.0)
    return model.outcomes(values) if uncertainty.joint_with_reward else values


def _complete(model: DecPOMDP, uncertainty: UncertaintySet, rows: Tensor) -> Tensor:
    """Puts terminal states out of reach and adds the fail state's own rows where there is one."""
    if uncertainty.worst_value is None:
        nominal = model.kernel
    else:
        nominal = model.with_fail_state(uncertainty.worst_value).kernel
    kernel = nominal.clone()
    acting = ~model.terminal
    kernel[: model.n_states][acting] = rows[acting]
    return kernel
