"""The paper's Examples 1 and 2 as models, with the numbers that the paper prints.

Where the text and its numbers disagree, the numbers are followed. The text calls ``s1`` to ``s4``
"absorbing states with zero reward", which would make every value 0; the values "omit the
γ/(1-γ) factor", which is what an absorbing state that pays ``c`` per step adds to the state before
it. So ``s1`` to ``s4`` are absorbing here and pay ``c (1-γ)/γ`` per step, and the joint values at
``s0`` come out as printed.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from torchrl_drigm.tabular.dec_pomdp import DecPOMDP
from torchrl_drigm.tabular.finite_set import FiniteSet

__all__ = ["PaperExample", "example_1", "example_2"]


@dataclass(frozen=True, eq=False)
class PaperExample:
    """A two-agent task with two kernels, and the paper's values at ``s0``.

    Actions and states are counted from 0 here: the paper's (2, 1) is ``(1, 0)``. Of individual
    values, the rows of the states after ``s0`` are 0: nothing depends on the actions there.

    Attributes:
        model (DecPOMDP): five states, two agents, two actions each; its kernel is ``P1``.
        uncertainty (FiniteSet): ``{P1, P2}``, not rectangular.
        q (Tensor): printed joint values at ``s0`` under ``P1`` and ``P2``, ``[2, A_1, A_2]``.
        robust_q (Tensor): printed robust joint values at ``s0``, ``[A_1, A_2]``.
        individual (tuple): printed individual values under ``P1`` and under ``P2``, one
            ``[S, A_i]`` per agent each.
        naive_values (tuple of Tensor): printed individual values of the single-agent definition,
            the smallest over the kernels, ``[S, A_i]`` per agent.
        theorem_values (tuple): the two sets of robust individual values printed for Theorem 1
            (Remark 2); they choose (1, 1) and (2, 2).
    """

    model: DecPOMDP
    uncertainty: FiniteSet
    q: Tensor
    robust_q: Tensor
    individual: tuple[tuple[Tensor, ...], ...] = ()
    naive_values: tuple[Tensor, ...] = ()
    theorem_values: tuple[tuple[Tensor, ...], ...] = ()

    @property
    def hull(self) -> FiniteSet:
        """The rectangular hull of ``{P1, P2}``, for which Theorem 1 holds.

        Its worst kernel takes the row of each joint action from whichever kernel is worse there. In
        Example 1 the robust values are the same as those of the two kernels.
        """
        return FiniteSet(list(self.uncertainty.kernels), rectangular=True)


def _table(*rows: list[float]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def _individual(*values: list[float]) -> tuple[Tensor, ...]:
    """Values at s0, one list per agent, as [S, A_i] with zeros in the other states."""
    return tuple(
        torch.cat([_table(v), torch.zeros(4, len(v), dtype=torch.float64)]) for v in values
    )


def _model(worth: list[float], rows: dict, gamma: float) -> tuple[DecPOMDP, FiniteSet]:
    """From the worth of entering s1..s4, and per kernel the next state of every joint action."""
    kernels = []
    for kernel_rows in rows:
        kernel = torch.zeros(5, 2, 2, 5, dtype=torch.float64)
        for (a_1, a_2), next_states in kernel_rows.items():
            for state, probability in next_states.items():
                kernel[0, a_1, a_2, state] = probability
        for state in range(1, 5):
            kernel[state, ..., state] = 1.0
        kernels.append(kernel)
    reward = torch.zeros(5, 2, 2, dtype=torch.float64)
    reward[1:] = (torch.tensor(worth, dtype=torch.float64) * (1 - gamma) / gamma).reshape(4, 1, 1)
    return DecPOMDP(kernels[0], reward, gamma), FiniteSet(kernels)


def example_1(gamma: float = 0.9) -> PaperExample:
    r"""Example 1: the single-agent definition of robust individual values breaks DrIGM.

    ``P1`` leads from ``s0`` to ``s1``, ``s2``, ``s3``, ``s4`` under (1, 1), (1, 2), (2, 1),
    (2, 2). Their worth, 0.7, 0.4, 1.0, 0.7, follows from the values under ``P1`` and agrees with
    those under ``P2``: :math:`\frac13 0.4 + \frac23 1.0 = 0.8` for (1, 2) and
    :math:`\frac23 0.4 + \frac13 1.0 = 0.6` for (2, 1).

    Two things to know about the paper's numbers. The smallest individual value over kernels depends
    on how constants are shared between agents under each kernel, which no factorization fixes; the
    paper's choice is taken. And the values printed for Theorem 1 are those of agent 1 under one
    kernel and of agent 2 under the other. Up to a constant per agent they are the
    :func:`~torchrl_drigm.tabular.anchored_decomposition` of the worst kernel of the *rectangular*
    set that Theorem 1 assumes, :attr:`PaperExample.hull`, and there they satisfy IGM.

    Args:
        gamma (float): discount; the values at ``s0`` do not depend on it.

    Examples:
        >>> from torchrl_drigm.tabular import check_drigm
        >>> example = example_1()
        >>> [bool(check_drigm(example.model, example.uncertainty, values))
        ...  for values in (example.naive_values, *example.theorem_values)]
        [False, True, True]
    """
    first = {(0, 0): {1: 1.0}, (0, 1): {2: 1.0}, (1, 0): {3: 1.0}, (1, 1): {4: 1.0}}
    second = {**first, (0, 1): {2: 1 / 3, 3: 2 / 3}, (1, 0): {2: 2 / 3, 3: 1 / 3}}
    model, uncertainty = _model([0.7, 0.4, 1.0, 0.7], [first, second], gamma)
    return PaperExample(
        model,
        uncertainty,
        q=torch.stack([_table([0.7, 0.4], [1.0, 0.7]), _table([0.7, 0.8], [0.6, 0.7])]),
        robust_q=_table([0.7, 0.4], [0.6, 0.7]),
        individual=(_individual([0.0, 0.3], [0.7, 0.4]), _individual([0.2, 0.1], [0.5, 0.6])),
        naive_values=_individual([0.0, 0.1], [0.5, 0.4]),
        theorem_values=(
            _individual([0.2, 0.1], [0.7, 0.4]),
            _individual([0.0, 0.3], [0.5, 0.6]),
        ),
    )


def example_2(gamma: float = 0.9) -> PaperExample:
    """Example 2: the nominal joint values are not additive, the robust ones are.

    ``P2`` leads to ``s4`` under every joint action. The text does not say which state ``P1``
    reaches by which joint action; ``s4`` must be worth 0.4, so that (1, 2) leads there and (2, 2),
    worth 0.5, to ``s2``. The paper prints no individual values.

    Args:
        gamma (float): discount; the values at ``s0`` do not depend on it.

    Examples:
        >>> from torchrl_drigm.tabular import additive_decomposition
        >>> example = example_2()
        >>> additive_decomposition(example.q).residual.round(decimals=3)
        tensor([0.0500, 0.0000], dtype=torch.float64)
    """
    first = {(0, 0): {1: 1.0}, (0, 1): {4: 1.0}, (1, 0): {3: 1.0}, (1, 1): {2: 1.0}}
    second = {action: {4: 1.0} for action in first}
    model, uncertainty = _model([0.7, 0.5, 1.0, 0.4], [first, second], gamma)
    return PaperExample(
        model,
        uncertainty,
        q=torch.stack([_table([0.7, 0.4], [1.0, 0.5]), torch.full((2, 2), 0.4).double()]),
        robust_q=torch.full((2, 2), 0.4, dtype=torch.float64),
    )
