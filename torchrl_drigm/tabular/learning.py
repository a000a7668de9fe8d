r"""Learning against the exact answer: table-sized networks on data of a known model.

A :class:`DecPOMDP` is turned into batches of transitions, robust VDN, QMIX or QTRAN is trained on
them by the library's own losses, and what was learned is compared with the exact robust values.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor
from torchrl.objectives import HardUpdate, SoftUpdate

from torchrl_drigm.tabular._tables import make_loss, read_tables
from torchrl_drigm.tabular.dec_pomdp import DecPOMDP
from torchrl_drigm.tabular.representable import check_mixer
from torchrl_drigm.tabular.sampling import sample_transitions
from torchrl_drigm.tabular.value_iteration import robust_value_iteration
from torchrl_drigm.uncertainty import UncertaintySet

__all__ = [
    "LearnedValues",
    "numeric_worst_value",
    "train_against_exact",
]


@dataclass(frozen=True, eq=False)
class LearnedValues:
    """What :func:`train_against_exact` learned, beside the exact answer.

    Attributes:
        model (DecPOMDP): the task.
        uncertainty (UncertaintySet): the set, its ``worst_value`` a number.
        q (Tensor): learned team values, ``[S, A_1, ..., A_N]``; 0 in terminal states.
        individual_values (tuple of Tensor): learned values of states, one ``[S, A_i]`` per agent.
        exact (Tensor): exact robust team values, ``[S, A_1, ..., A_N]``.
    """

    model: DecPOMDP
    uncertainty: UncertaintySet
    q: Tensor
    individual_values: tuple[Tensor, ...]
    exact: Tensor

    @property
    def joint_action(self) -> Tensor:
        """The learned choice: each agent's own best action, ``[S, N]`` int64."""
        return torch.stack([values.argmax(1) for values in self.individual_values], -1)

    @property
    def value_range(self) -> float:
        """Largest less smallest exact value, over joint actions in states that are not terminal."""
        acting = self.exact[~self.model.terminal]
        return (acting.max() - acting.min()).item()

    @property
    def error(self) -> float:
        """Largest error of the team value at any ``(s, a)``, in shares of :attr:`value_range`."""
        return (self.q - self.exact).abs().max().item() / self.value_range

    @property
    def regret(self) -> float:
        """Most that the learned choice loses in any state, in shares of :attr:`value_range`.

        The loss is in exact robust value of the joint action; 0 where the choice is optimal.
        """
        states = torch.arange(self.model.n_states)
        chosen = self.exact[(states, *self.joint_action.unbind(-1))]
        return (self.exact.flatten(1).amax(1) - chosen).max().item() / self.value_range


def numeric_worst_value(model: DecPOMDP, uncertainty: UncertaintySet) -> UncertaintySet:
    r"""The set with its ``worst_value`` as a number, and with the same robust values.

    Without one the adversary sends the team to the worst state of the model, and an estimator has
    to be told what that is worth: :math:`v = \min_s V^{rob}(s)`, the quantity that the paper's
    Assumption 2 takes to be 0. The robust values of the model are the fixed point with this number
    too, and there is only one.

    For a set that is joint with the reward there is no such number: without one, the adversary
    picks the worst outcome of a state and joint action,
    :math:`\min_{s'} r(s, \mathbf a, s') + \gamma V(s')`, another one for each. What is returned is
    the worst outcome of the whole model under the robust values *of the set that is returned*,
    :math:`v = \min_{s, \mathbf a, s'} r(s, \mathbf a, s') + \gamma V^{rob}_v(s')`, and there is one
    such number. It is no larger than any outcome, and the robust values are no larger than those of
    the set without a number.

    Args:
        model (DecPOMDP): the task.
        uncertainty (UncertaintySet): the set; returned as it is where it needs no number.

    Examples:
        >>> from torchrl_drigm.tabular import random_dec_pomdp
        >>> from torchrl_drigm.uncertainty import TotalVariation
        >>> model = random_dec_pomdp(4, (2, 2), seed=0, reward_range=(-2.0, -1.0))
        >>> tv = TotalVariation(rho=0.2)
        >>> with_number = numeric_worst_value(model, tv)
        >>> with_number.worst_value < -1.0
        True
        >>> first, second = (robust_value_iteration(model, u).q for u in (tv, with_number))
        >>> torch.allclose(first, second)
        True
    """
    if "worst_value" not in uncertainty.field_names() or uncertainty.worst_value is not None:
        return uncertainty
    if not uncertainty.joint_with_reward:
        worst = robust_value_iteration(model, uncertainty).v.min().item()
        return uncertainty.replace(worst_value=worst)
    coupled = _WorstOutcome(uncertainty, ~model.terminal, joint_with_reward=True)
    return coupled.with_number(model.outcomes(robust_value_iteration(model, coupled).v))


@dataclass(frozen=True, eq=False)
class _WorstOutcome(UncertaintySet):
    """A joint set whose worst value is the worst outcome, at the values that it is asked about.

    Its Bellman operator contracts like that of the set with a number: no outcome changes by more
    than ``gamma`` times what a value does.
    """

    uncertainty: UncertaintySet
    acting: Tensor  # [S] bool

    def with_number(self, values: Tensor) -> UncertaintySet:
        """The set with the smallest of ``values`` ``[S, A_1, ..., A_N, S']`` that may occur."""
        return self.uncertainty.replace(worst_value=values[self.acting].min().item())

    def expectation(self, probs: Tensor, values: Tensor) -> Tensor:
        return self.with_number(values).expectation(probs, values)


def train_against_exact(
    model: DecPOMDP,
    uncertainty: UncertaintySet,
    mixer: str,
    *,
    seed: int = 0,
    steps: int = 1000,
    samples: int = 16,
    lr: float = 0.1,
    tau: float = 0.1,
    hard_update: int | None = None,
    dual_loss: str = "linear",
) -> LearnedValues:
    """Trains robust VDN, QMIX or QTRAN by the library's losses and compares with the exact values.

    Each step draws a fresh batch by :func:`sample_transitions` and takes one step of Adam on the
    sum of the losses. The learning rate falls to 0 along a cosine: only so does the sampling noise,
    which the robust backup of total variation turns into a bias, average out. Rewards and the worst
    value are divided by the largest reward, so that one learning rate fits every model; values
    scale with them.

    Args:
        model (DecPOMDP): the task.
        uncertainty (UncertaintySet): any set that can be learned from samples. A missing
            ``worst_value`` is replaced by :func:`numeric_worst_value`.
        mixer (str): ``"vdn"``, ``"qmix"`` or ``"qtran"``.
        seed (int): of the networks and the data.
        steps (int): steps of the optimizer.
        samples (int): next states per state, joint action and step.
        lr (float): learning rate at the start, in units of the largest reward.
        tau (float): share of the online parameters in each ``SoftUpdate`` of the target ones.
        hard_update (int, optional): steps between copies by ``HardUpdate``, in place of ``tau``.
        dual_loss (str): ``"linear"``, or the ``"squared"`` one of the paper's released
            configuration.

    Returns:
        LearnedValues: learned and exact team values and the learned choices.

    Raises:
        ValueError: for an unknown mixer, a set without a backup (a finite one), or a model without
            rewards.

    Examples:
        >>> from torchrl_drigm.tabular import check_drigm, random_dec_pomdp
        >>> from torchrl_drigm.uncertainty import Contamination
        >>> model = random_dec_pomdp(3, (2, 2), seed=0, gamma=0.8, structure="additive")
        >>> found = train_against_exact(model, Contamination(0.2), "vdn", steps=300)
        >>> found.error < 0.03
        True
        >>> check_drigm(model, found.uncertainty, found.individual_values).holds
        True
    """
    check_mixer(mixer)
    scale = model.given_reward.abs().max().item()
    if not scale:
        raise ValueError("every reward of the model is 0, and so is every value: nothing to learn.")
    uncertainty = numeric_worst_value(model, uncertainty)
    scaled = dataclasses.replace(model, reward=model.given_reward / scale)

    # Networks draw their parameters from the global generator: its state is the caller's.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        loss, qnet, team = make_loss(model, mixer, uncertainty.n_duals, dual_loss)
    loss.make_value_estimator(uncertainty.in_units_of(scale), gamma=model.gamma)
    if hard_update is None:
        target_updater = SoftUpdate(loss, tau=tau)
    else:
        # HardUpdate copies on the call after its interval
        target_updater = HardUpdate(loss, value_network_update_interval=hard_update - 1)
    optimizer = torch.optim.Adam(loss.parameters(), lr=lr)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        losses = loss(sample_transitions(scaled, samples, generator))
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
        scheduler.step()
        target_updater.step()

    q, individual_values = read_tables(model, qnet, team)
    exact = robust_value_iteration(model, uncertainty).q
    individual_values = tuple(scale * values for values in individual_values)
    return LearnedValues(model, uncertainty, scale * q, individual_values, exact)
