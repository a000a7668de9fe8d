"""A finite cooperative Dec-POMDP, as float64 tensors.

Axes: ``S`` states, ``A_1, ..., A_N`` actions of the ``N`` agents, ``S'`` next states. A joint
action is one index per agent, so everything that depends on it has one axis per agent.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor

from torchrl_drigm.uncertainty._checks import check_worst_value, is_finite_number

__all__ = ["DecPOMDP", "check_kernel"]

# Rows of a kernel must sum to 1 this closely.
_ATOL = 1e-9


def check_kernel(kernel: Tensor, shape: Sequence[int], name: str = "kernel") -> Tensor:
    """Returns a transition kernel as float64, or raises if it is none.

    Args:
        kernel (Tensor): probabilities of the next states, ``[S, A_1, ..., A_N, S']``.
        shape (sequence of int): the shape it must have.
        name (str): what to call it in an error.

    Raises:
        ValueError: for another shape, or rows that are no distributions.

    Examples:
        >>> check_kernel(torch.tensor([[0.25, 0.75]]), (1, 2))
        tensor([[0.2500, 0.7500]], dtype=torch.float64)
    """
    kernel = torch.as_tensor(kernel)
    if tuple(kernel.shape) != tuple(shape):
        raise ValueError(
            f"{name} must have the shape [S, A_1, ..., A_N, S'] = {list(shape)}, got "
            f"{list(kernel.shape)}."
        )
    kernel = kernel.to(torch.float64)
    total = kernel.sum(-1)
    # Written so that a NaN fails it too.
    if not ((kernel >= 0).all() and ((total - 1).abs() <= _ATOL).all()):
        raise ValueError(
            f"every row of {name} must be a distribution over next states, to {_ATOL:g}, got sums "
            f"between {total.min().item():.9g} and {total.max().item():.9g} and smallest entry "
            f"{kernel.min().item():.3g}. Normalise in float64: kernel / kernel.sum(-1, "
            "keepdim=True)."
        )
    return kernel


@dataclasses.dataclass(frozen=True, eq=False)
class DecPOMDP:
    r"""A finite cooperative Dec-POMDP whose joint observation identifies the state (Section 2).

    .. math::
        G = (\mathcal S, \{\mathcal A_i\}, P, r, \{\mathcal O_i\}, \{\sigma_i\}, \gamma)

    Because :math:`s \mapsto (\sigma_1(s), \ldots, \sigma_N(s))` is injective, joint histories
    reduce to states and the joint action-values are tables ``[S, A_1, ..., A_N]``.

    A terminal state is absorbing, pays nothing and is outside the adversary's reach (as the paper's
    fail state, Assumption 1): its value is 0 under every kernel of every uncertainty set.

    Args:
        kernel (Tensor): nominal :math:`P^0(s' \mid s, \mathbf a)`, ``[S, A_1, ..., A_N, S']``.
        reward (Tensor): team reward :math:`r(s, \mathbf a)`, ``[S, A_1, ..., A_N]``, or by next
            state, :math:`r(s, \mathbf a, s')`, of the shape of the kernel.
        gamma (float): discount, in (0, 1).
        terminal (Tensor, optional): which states are terminal, ``[S]`` bool. Default: none.
        observation (Tensor, optional): what each agent sees, :math:`\sigma_i(s)`, ``[S, N]`` int64
            counted from 0. Default: every agent sees the state.

    Attributes:
        reward (Tensor): expected reward under the kernel, ``[S, A_1, ..., A_N]``, however it was
            given.
        outcome_reward (Tensor or None): reward by next state, ``[S, A_1, ..., A_N, S']``; ``None``
            where it does not depend on that. It is what :meth:`with_kernel` goes by;
            ``dataclasses.replace(model, kernel=...)`` keeps the expected reward as it is.

    Raises:
        ValueError: for shapes that do not fit, rows that are no distributions, a discount outside
            (0, 1), rewards that are not finite, a terminal state that pays or can be left, and
            observations that two states share.

    Examples:
        >>> kernel = torch.tensor([0.5, 0.5]).expand(2, 1, 2, 2).clone()
        >>> kernel[1] = torch.tensor([0.0, 1.0])
        >>> reward = torch.tensor([[[1.0, 2.0]], [[0.0, 0.0]]])
        >>> model = DecPOMDP(kernel, reward, gamma=0.9, terminal=torch.tensor([False, True]))
        >>> model
        DecPOMDP(n_states=2, n_actions=(1, 2), gamma=0.9, n_terminal=1)

        The second state ends the episode, and costs 10 on the way:

        >>> costs = torch.tensor([1.0, -9.0]).expand(2, 1, 2, 2).clone()
        >>> costs[1] = 0.0
        >>> DecPOMDP(kernel, costs, gamma=0.9, terminal=torch.tensor([False, True])).reward[0]
        tensor([[-4., -4.]], dtype=torch.float64)
    """

    kernel: Tensor
    reward: Tensor
    gamma: float
    terminal: Tensor | None = None
    observation: Tensor | None = None
    outcome_reward: Tensor | None = dataclasses.field(init=False, default=None)

    def __post_init__(self):
        reward, outcome_reward = self._rewards()
        if reward.ndim < 2 or reward.numel() == 0:
            raise ValueError(
                "reward must have the shape [S, A_1, ..., A_N] with at least one state, one agent "
                f"and one action each, got {list(reward.shape)}."
            )
        n_states, n_agents = reward.shape[0], reward.ndim - 1
        if not is_finite_number(self.gamma) or not 0.0 < self.gamma < 1.0:
            raise ValueError(f"gamma must be in (0, 1), got {self.gamma}.")
        terminal, observation = self.terminal, self.observation
        if terminal is None:
            terminal = torch.zeros(n_states, dtype=torch.bool)
        if observation is None:
            observation = torch.arange(n_states).unsqueeze(-1).expand(n_states, n_agents)
        settled = {
            "reward": reward,
            "outcome_reward": outcome_reward,
            "kernel": check_kernel(self.kernel, (*reward.shape, n_states)),
            "gamma": float(self.gamma),
            "terminal": torch.as_tensor(terminal),
            "observation": torch.as_tensor(observation),
        }
        for name, value in settled.items():
            object.__setattr__(self, name, value)
        self._check()

    def _rewards(self) -> tuple[Tensor, Tensor | None]:
        """Expected reward, and the one by next state where it depends on that."""
        reward = torch.as_tensor(self.reward)
        if not reward.isfinite().all():
            bad = int((~reward.isfinite()).sum())
            raise ValueError(f"reward must be finite, got {bad} entries that are not.")
        reward, kernel = reward.to(torch.float64), torch.as_tensor(self.kernel)
        if kernel.shape != reward.shape or reward.ndim < 3 or reward.numel() == 0:
            if kernel.shape != reward.shape and kernel.ndim == reward.ndim > 2:
                raise ValueError(
                    "kernel must have the shape [S, A_1, ..., A_N, S'] = "
                    f"{[*reward.shape, reward.shape[0]]}, got {list(kernel.shape)}. (Rewards by "
                    f"next state would have the shape of the kernel, not {list(reward.shape)}.)"
                )
            return reward, None
        if (reward == reward[..., :1]).all():
            return reward[..., 0], None
        kernel = check_kernel(kernel, (*kernel.shape[:-1], kernel.shape[0]))
        return (kernel * reward).sum(-1), reward

    def _check(self) -> None:
        if self.terminal.dtype != torch.bool or self.terminal.shape != (self.n_states,):
            raise ValueError(
                f"terminal must be a bool mask [S] = [{self.n_states}], got "
                f"{self.terminal.dtype} {list(self.terminal.shape)}."
            )
        states = self.terminal.nonzero().squeeze(-1)
        stays = self.kernel[states].flatten(1, -2)[torch.arange(len(states)), :, states] == 1.0
        if self.given_reward[states].any() or not stays.all():
            raise ValueError(
                "a terminal state must pay 0 and lead to itself with probability 1 under every "
                f"joint action; of the terminal states {states.tolist()} one does not. Set "
                "reward[s] = 0 and kernel[s, ..., s] = 1."
            )
        observation, shape = self.observation, (self.n_states, self.n_agents)
        if observation.dtype != torch.int64 or observation.shape != shape:
            raise ValueError(
                f"observation must be int64 [S, N] = {list(shape)}, got {observation.dtype} "
                f"{list(observation.shape)}."
            )
        if (observation < 0).any():
            raise ValueError("observation must count from 0, got a negative entry.")
        if len(observation.unique(dim=0)) < self.n_states:
            raise ValueError(
                "two states share one joint observation; the observations of all agents together "
                "must identify the state (the paper's injectivity assumption)."
            )

    def __repr__(self):
        return (
            f"DecPOMDP(n_states={self.n_states}, n_actions={self.n_actions}, gamma={self.gamma}, "
            f"n_terminal={int(self.terminal.sum())})"
        )

    @property
    def n_states(self) -> int:
        """Number of states ``S``, terminal ones included."""
        return self.reward.shape[0]

    @property
    def n_agents(self) -> int:
        """Number of agents ``N``."""
        return self.reward.ndim - 1

    @property
    def n_actions(self) -> tuple[int, ...]:
        """Number of actions of each agent, ``(A_1, ..., A_N)``."""
        return tuple(self.reward.shape[1:])

    @property
    def given_reward(self) -> Tensor:
        """:attr:`outcome_reward`, or :attr:`reward` where that is ``None``: for a changed copy."""
        return self.reward if self.outcome_reward is None else self.outcome_reward

    def outcomes(self, values: Tensor) -> Tensor:
        r"""What each next state is worth with its reward, :math:`r(s, \mathbf a, s') + \gamma V'`.

        Args:
            values (Tensor): values of the states, ``[S']``.

        Returns:
            Tensor ``[S, A_1, ..., A_N, S']``.

        Examples:
            >>> kernel, reward = torch.full((2, 1, 2), 0.5), torch.tensor([[1.0], [2.0]])
            >>> model = DecPOMDP(kernel, reward, gamma=0.5)
            >>> model.outcomes(torch.tensor([0.0, 4.0])).squeeze(1)
            tensor([[1., 3.],
                    [2., 4.]], dtype=torch.float64)
        """
        reward = self.reward.unsqueeze(-1) if self.outcome_reward is None else self.outcome_reward
        return reward + self.gamma * values

    def expand(self, per_state: Tensor) -> Tensor:
        """A view of ``[S]`` as ``[S, 1, ..., 1]``, to broadcast over joint actions."""
        return per_state.reshape(-1, *[1] * self.n_agents)

    def with_kernel(self, kernel: Tensor) -> DecPOMDP:
        """The same task under another kernel ``[S, A_1, ..., A_N, S']``.

        Rewards by next state stay what they are, so that the expected reward changes.

        Raises:
            ValueError: as the class does; among others for a kernel that leaves a terminal state.

        Examples:
            >>> model = DecPOMDP(torch.ones(1, 2, 1), torch.zeros(1, 2), gamma=0.5)
            >>> model.with_kernel(torch.ones(1, 2, 1)).kernel.dtype
            torch.float64
        """
        kernel = check_kernel(kernel, self.kernel.shape)
        return dataclasses.replace(self, kernel=kernel, reward=self.given_reward)

    def with_fail_state(self, worst_value: float, *, joint_with_reward: bool = False) -> DecPOMDP:
        r"""The same task with one more state, absorbing, of value ``worst_value`` (Assumption 1).

        The new state is the last, ``S``; it pays :math:`(1 - \gamma) v` per step under every joint
        action, and the nominal kernel never enters it. Every agent sees it by an observation of its
        own. At ``worst_value=0`` it is terminal: the paper's fail state.

        Args:
            worst_value (float): ``v``, in units of return.
            joint_with_reward (bool): whether failing itself pays :math:`(1 - \gamma) v` as well,
                so that the outcome is worth :math:`r + \gamma v = v`, as it is in a set of
                distributions of reward and next state. Otherwise it pays :math:`r(s, \mathbf a)`.

        Raises:
            ValueError: if ``worst_value`` is no finite number.

        Examples:
            >>> model = DecPOMDP(torch.ones(1, 2, 1), torch.zeros(1, 2), gamma=0.5)
            >>> model.with_fail_state(-3.0).reward
            tensor([[ 0.0000,  0.0000],
                    [-1.5000, -1.5000]], dtype=torch.float64)
        """
        worst_value = check_worst_value(worst_value)
        n, n_actions = self.n_states, self.n_actions
        kernel = torch.zeros(n + 1, *n_actions, n + 1, dtype=torch.float64)
        kernel[:n, ..., :n] = self.kernel
        kernel[n, ..., n] = 1.0
        pay = (1.0 - self.gamma) * worst_value
        reward = torch.full_like(kernel, pay)
        reward[:n, ..., :n] = self.outcomes(torch.zeros(n))
        failing = self.reward
        if joint_with_reward:
            failing = torch.where(self.expand(self.terminal), 0.0, torch.full_like(failing, pay))
        reward[:n, ..., n] = failing
        seen = self.observation.amax(0, keepdim=True) + 1
        return DecPOMDP(
            kernel,
            reward,
            self.gamma,
            torch.cat([self.terminal, torch.tensor([worst_value == 0.0])]),
            torch.cat([self.observation, seen]),
        )

    def lookup(self, individual_values: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Individual values of observations, ``[O_i, A_i]``, as values of states, ``[S, A_i]``.

        Raises:
            ValueError: if there is not one table per agent, or one is too short or too narrow.

        Examples:
            >>> observation = torch.tensor([[0, 0], [1, 0], [0, 1]])  # agent 2 confuses states 0, 1
            >>> kernel = torch.eye(3).reshape(3, 1, 1, 3)
            >>> model = DecPOMDP(kernel, torch.zeros(3, 1, 1), gamma=0.5, observation=observation)
            >>> _, second = model.lookup([torch.zeros(2, 1), torch.tensor([[5.0], [7.0]])])
            >>> second.squeeze(-1).tolist()
            [5.0, 5.0, 7.0]
        """
        n_observations = (self.observation.amax(0) + 1).tolist()
        expected = [list(pair) for pair in zip(n_observations, self.n_actions, strict=True)]
        got = [list(values.shape) for values in individual_values]
        if got != expected:
            raise ValueError(
                f"individual_values must be one table [O_i, A_i] per agent, {expected}, got {got}."
            )
        return tuple(
            values[seen]
            for values, seen in zip(individual_values, self.observation.unbind(-1), strict=True)
        )
