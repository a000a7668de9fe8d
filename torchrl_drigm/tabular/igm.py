"""Checks of the individual-global-max principle, nominal (IGM) and robust (DrIGM).

Every argmax is a *set*, as in Definitions 1 and 2: all actions within ``atol`` of the best. A
factorization passes where every combination of its agents' best actions is a best joint action.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from torchrl_drigm.tabular.dec_pomdp import DecPOMDP
from torchrl_drigm.tabular.value_iteration import robust_values
from torchrl_drigm.uncertainty import UncertaintySet

__all__ = ["FactorizationCheck", "check_drigm", "check_igm", "check_qtran_condition"]


@dataclass(frozen=True)
class FactorizationCheck:
    """Outcome of a check; true where it holds in every state.

    Attributes:
        failures (tuple): ``(state, joint_action)`` for every joint action at fault, counted from 0.
    """

    failures: tuple[tuple[int, tuple[int, ...]], ...]

    @classmethod
    def from_mask(cls, failing: Tensor) -> FactorizationCheck:
        """From a mask of the joint actions at fault, ``[S, A_1, ..., A_N]``."""
        return cls(tuple((s, tuple(action)) for s, *action in failing.nonzero().tolist()))

    @property
    def holds(self) -> bool:
        """Whether nothing failed."""
        return not self.failures

    @property
    def states(self) -> tuple[int, ...]:
        """The states in which the check fails."""
        return tuple(sorted({state for state, _ in self.failures}))

    def __bool__(self):
        return self.holds


def check_igm(
    q_joint: Tensor, individual_values: Sequence[Tensor], atol: float = 1e-9
) -> FactorizationCheck:
    r"""Whether individual values satisfy IGM for joint values in every state (Definition 1).

    .. math::
        \operatorname*{argmax}_{a_1} Q_1(s, a_1) \times \cdots \times
        \operatorname*{argmax}_{a_N} Q_N(s, a_N)
        \subseteq \operatorname*{argmax}_{\mathbf a} Q_{tot}(s, \mathbf a)

    With robust joint values it is DrIGM (Definition 2); see :func:`check_drigm`.

    Args:
        q_joint (Tensor): joint action-values, ``[S, A_1, ..., A_N]``.
        individual_values (sequence of Tensor): one ``[S, A_i]`` per agent.
        atol (float): values this close to the best tie with it. A joint value may be ``N * atol``
            short, as much as the agents' ties can add up to.

    Returns:
        FactorizationCheck: its failures are the greedy joint actions that are not optimal.

    Raises:
        ValueError: for shapes that do not fit, or values that are not finite.

    Examples:
        >>> q_joint = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
        >>> check_igm(q_joint, [torch.tensor([[1.0, 0.0]]), torch.tensor([[2.0, 1.0]])]).holds
        True
        >>> check_igm(q_joint, [torch.zeros(1, 2), torch.zeros(1, 2)]).failures  # all actions tie
        ((0, (0, 1)), (0, (1, 0)))
    """
    _check_values(q_joint, individual_values)
    short = q_joint.flatten(1).amax(1).reshape(-1, *[1] * (q_joint.ndim - 1)) - q_joint
    chosen = _greedy_product(individual_values, atol)
    return FactorizationCheck.from_mask(chosen & (short > atol * len(individual_values)))


def check_drigm(
    model: DecPOMDP,
    uncertainty: UncertaintySet,
    individual_values: Sequence[Tensor],
    atol: float = 1e-9,
) -> FactorizationCheck:
    r"""Whether individual values satisfy DrIGM for the exact robust joint values (Definition 2).

    Args:
        model (DecPOMDP): the task.
        uncertainty: any set.
        individual_values (sequence of Tensor): one ``[S, A_i]`` per agent. Values of observations
            become values of states by :meth:`DecPOMDP.lookup`.
        atol (float): values this close to the best tie with it.

    Returns:
        FactorizationCheck: its failures are the greedy joint actions that are not robust-optimal.

    Raises:
        ValueError: for shapes that do not fit, or values that are not finite.

    Examples:
        >>> from torchrl_drigm.tabular import example_1
        >>> example = example_1()
        >>> check_drigm(example.model, example.uncertainty, example.naive_values).failures
        ((0, (1, 0)),)
    """
    return check_igm(robust_values(model, uncertainty), individual_values, atol)


def check_qtran_condition(
    q_joint: Tensor, individual_values: Sequence[Tensor], atol: float = 1e-9
) -> FactorizationCheck:
    r"""Whether individual values satisfy QTRAN's condition in every state (Theorem 2).

    .. math::
        \sum_i Q_i(s, a_i) - Q_{tot}(s, \mathbf a) + V_{tot}(s)
        \begin{cases} = 0, & \mathbf a = \bar{\mathbf a} \\ \ge 0, & \text{otherwise} \end{cases}
        \qquad V_{tot}(s) = \max_{\mathbf a} Q_{tot}(s, \mathbf a) - \sum_i Q_i(s, \bar a_i)

    The paper is silent on two points, on both of which Theorem 2 depends. ``V_tot`` is taken at
    the greedy joint action :math:`\bar{\mathbf a}`, as in QTRAN; at :math:`\mathbf a` itself the
    inequality would be void. And where agents tie, every combination of their best actions is an
    :math:`\bar{\mathbf a}`: with the equality for one of them only, individual values that are all
    zero pass for any joint values, and IGM does not follow.

    Args:
        q_joint (Tensor): joint action-values, ``[S, A_1, ..., A_N]``.
        individual_values (sequence of Tensor): one ``[S, A_i]`` per agent.
        atol (float): slack of the equality and the inequality, per agent.

    Returns:
        FactorizationCheck: its failures are the joint actions whose line of the condition is
        violated.

    Raises:
        ValueError: for shapes that do not fit, or values that are not finite.

    Examples:
        >>> q_joint = torch.tensor([[[8.0, -12.0], [-12.0, 0.0]]])
        >>> qtran = [torch.tensor([[4.0, 0.0]]), torch.tensor([[4.0, 0.0]])]
        >>> check_qtran_condition(q_joint, qtran).holds
        True
        >>> vdn = [torch.tensor([[-4.0, 0.0]]), torch.tensor([[-4.0, 0.0]])]
        >>> check_qtran_condition(q_joint, vdn).failures
        ((0, (0, 0)), (0, (1, 1)))
    """
    _check_values(q_joint, individual_values)
    tolerance = atol * len(individual_values)
    greedy = _greedy_product(individual_values, atol)
    total = _broadcast_sum(individual_values)
    flat = [-1, *[1] * (q_joint.ndim - 1)]
    at_greedy = sum(values.amax(1) for values in individual_values)
    v_tot = (q_joint.flatten(1).amax(1) - at_greedy).reshape(flat)
    slack = total - q_joint + v_tot
    return FactorizationCheck.from_mask((slack < -tolerance) | (greedy & (slack > tolerance)))


def _spread(values: Tensor, agent: int, n_agents: int) -> Tensor:
    """[S, A_i] as [S, 1, ..., A_i, ..., 1]."""
    axes = [-1 if i == agent else 1 for i in range(n_agents)]
    return values.reshape(values.shape[0], *axes)


def _greedy_product(individual_values: Sequence[Tensor], atol: float) -> Tensor:
    """The product of the agents' argmax sets, as a mask [S, A_1, ..., A_N]."""
    n = len(individual_values)
    chosen = torch.ones((), dtype=torch.bool)
    for agent, values in enumerate(individual_values):
        best = values >= values.amax(1, keepdim=True) - atol
        chosen = chosen & _spread(best, agent, n)
    return chosen


def _broadcast_sum(individual_values: Sequence[Tensor]) -> Tensor:
    """Sum over agents, [S, A_1, ..., A_N]."""
    n = len(individual_values)
    return sum(_spread(values, agent, n) for agent, values in enumerate(individual_values))


def _check_values(q_joint: Tensor, individual_values: Sequence[Tensor]) -> None:
    expected = [[q_joint.shape[0], n] for n in q_joint.shape[1:]]
    got = [list(values.shape) for values in individual_values]
    if q_joint.ndim < 2 or got != expected:
        raise ValueError(
            "q_joint must be [S, A_1, ..., A_N] and individual_values one [S, A_i] per agent, got "
            f"q_joint {list(q_joint.shape)} and individual_values {got}."
        )
    # A NaN compares false with everything, and the check would pass.
    for name, values in [("q_joint", q_joint), *_named(individual_values)]:
        if not values.isfinite().all():
            bad = int((~values.isfinite()).sum())
            raise ValueError(f"{name} must be finite, got {bad} entries that are not.")


def _named(individual_values: Sequence[Tensor]) -> list[tuple[str, Tensor]]:
    return [(f"individual_values[{i}]", values) for i, values in enumerate(individual_values)]
