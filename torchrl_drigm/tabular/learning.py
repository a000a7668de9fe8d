r"""Learning against the exact answer: table-sized networks on data of a known model.

A :class:`DecPOMDP` is turned into batches of transitions, robust VDN, QMIX or QTRAN is trained on
them by the library's own losses, and what was learned is compared with the exact robust values.

Axes: ``B`` transitions, ``N`` agents, ``O`` observations (most of any agent), ``A`` actions (most
of any agent), ``S`` states. State and observations are one-hot, so that a linear layer is a table.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import torch
from tensordict import TensorDict
from tensordict.nn import TensorDictModule
from torch import Tensor, nn
from torchrl.modules import QValueModule, SafeSequential
from torchrl.modules.models.multiagent import QMixer, VDNMixer
from torchrl.objectives import HardUpdate, LossModule, SoftUpdate

from torchrl_drigm.objectives import RobustQMixerLoss, RobustQTRANLoss
from torchrl_drigm.tabular.dec_pomdp import DecPOMDP
from torchrl_drigm.tabular.representable import check_mixer
from torchrl_drigm.tabular.uncertainty import FiniteSet, UncertaintySet
from torchrl_drigm.tabular.value_iteration import robust_value_iteration

__all__ = [
    "LearnedValues",
    "numeric_worst_value",
    "sample_transitions",
    "train_against_exact",
]

# Hidden units of QMIX's mixer: one exponential per state would do, more only slow it down.
MIXING = 8
ACTION, VALUES = ("agents", "action"), ("agents", "action_value")
ESTIMATORS = {"none": "contamination_td0", "contamination": "contamination_td0", "tv": "tv_td0"}


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


def sample_transitions(
    model: DecPOMDP, n: int, generator: torch.Generator | None = None
) -> TensorDict:
    """Draws transitions of the nominal kernel, ``n`` of every state and joint action.

    The model is used as a generative one: states and joint actions are covered evenly, as by a
    uniformly exploring team that starts anywhere, and only the next state is random. Terminal
    states are not started from. The ``n`` next states of a pair are a systematic sample: each has
    the kernel's distribution, and together they are spread evenly over it, which leaves far less
    noise in their mean than independent ones have.

    Args:
        model (DecPOMDP): the task.
        n (int): next states per state and joint action.
        generator (torch.Generator, optional): source of the draw.

    Returns:
        TensorDict ``[B]``, ``B`` being ``n`` times the pairs of a state and a joint action, with
        ``state`` ``[B, S]``, ``("agents", "observation")`` ``[B, N, O]``, ``("agents", "action")``
        ``[B, N]``, and under ``"next"`` state, observation, ``reward``, ``done`` and ``terminated``
        ``[B, 1]``. Where agents differ in their number of actions, ``("agents", "action_mask")``
        ``[B, N, A]`` tells which exist.

    Raises:
        ValueError: if ``n`` is below 1 or every state is terminal.

    Examples:
        >>> model = DecPOMDP(torch.full((2, 2, 3, 2), 0.5), torch.zeros(2, 2, 3), gamma=0.9)
        >>> batch = sample_transitions(model, n=4)
        >>> batch.shape, batch["agents", "observation"].shape, batch["agents", "action_mask"][0]
        (torch.Size([48]), torch.Size([48, 2, 2]), tensor([[ True,  True, False],
            [ True,  True,  True]]))
    """
    if n < 1 or model.terminal.all():
        raise ValueError(
            f"n must be at least 1 and some state not terminal, got n={n} and {model!r}."
        )
    pairs = _pairs(model)  # [pairs, 1 + N]
    reached = model.kernel[pairs.unbind(-1)].cumsum(-1)  # [pairs, S']
    shift = torch.rand(len(pairs), 1, generator=generator, dtype=torch.float64)
    level = ((torch.arange(n) + shift) / n).clamp_max(1.0 - 1e-12)  # [pairs, n]
    # Divided by the last, or a level above what rounding left of 1 would reach an impossible state.
    next_state = torch.searchsorted(reached / reached[:, -1:], level, right=True).flatten()
    pairs = pairs.repeat_interleave(n, 0)  # [B, 1 + N]
    batch = _look(model, pairs[:, 0])
    batch[ACTION] = pairs[:, 1:]
    batch["next"] = _look(model, next_state)
    batch["next", "reward"] = model.reward[pairs.unbind(-1)].float().unsqueeze(-1)
    terminated = model.terminal[next_state].unsqueeze(-1)
    batch["next", "terminated"] = terminated
    batch["next", "done"] = terminated.clone()
    return batch


def _pairs(model: DecPOMDP) -> Tensor:
    """Every state that is not terminal with every joint action, ``[pairs, 1 + N]``."""
    return (~model.expand(model.terminal)).expand(model.reward.shape).nonzero()


def _look(model: DecPOMDP, state: Tensor) -> TensorDict:
    """What is seen in each state, ``[B]``."""
    n_observations = int(model.observation.max()) + 1
    observation = nn.functional.one_hot(model.observation[state], n_observations).float()
    agents = TensorDict({"observation": observation}, [len(state), model.n_agents])
    if len(set(model.n_actions)) > 1:
        mask = torch.arange(max(model.n_actions)) < torch.tensor(model.n_actions).unsqueeze(-1)
        agents["action_mask"] = mask.expand(len(state), -1, -1)
    one_hot = nn.functional.one_hot(state, model.n_states).float()
    return TensorDict({"agents": agents, "state": one_hot}, [len(state)])


class _AgentTables(nn.Module):
    """A table per agent: one-hot observations ``[B, N, O]`` to values ``[B, N, A]``."""

    def __init__(self, model: DecPOMDP) -> None:
        super().__init__()
        shape = (model.n_agents, int(model.observation.max()) + 1, max(model.n_actions))
        self.weight = nn.Parameter(0.1 * torch.randn(shape))

    def forward(self, observation: Tensor) -> Tensor:
        # [N, B, O] @ [N, O, A] -> [B, N, A]
        return (observation.transpose(0, 1) @ self.weight).transpose(0, 1)


class _JointTable(nn.Module):
    """A table: one-hot state ``[B, S]`` and joint action ``[B, N]`` to a number ``[B, 1]``."""

    def __init__(self, model: DecPOMDP) -> None:
        super().__init__()
        self.n_actions = model.n_actions
        shape = (model.n_states, math.prod(model.n_actions))
        self.weight = nn.Parameter(0.1 * torch.randn(shape))

    def forward(self, state: Tensor, action: Tensor) -> Tensor:
        flat = torch.zeros_like(action[..., 0])
        for n, chosen in zip(self.n_actions, action.unbind(-1), strict=True):
            flat = flat * n + chosen
        return (state @ self.weight).gather(-1, flat.unsqueeze(-1))


def _make_loss(
    model: DecPOMDP, mixer: str, with_dual: bool, dual_loss: str
) -> tuple[LossModule, TensorDictModule, TensorDictModule]:
    """The loss, the agents' network and the one that writes the team value."""
    chosen, joint = ("agents", "chosen_action_value"), ["state", ACTION]
    qnet = SafeSequential(
        TensorDictModule(_AgentTables(model), [("agents", "observation")], [VALUES]),
        QValueModule(
            action_space="categorical", action_value_key=VALUES, out_keys=[ACTION, VALUES, chosen]
        ),
    )
    dual = _JointTable(model) if with_dual else None
    options = {"dual_network": dual, "dual_loss": dual_loss, "action_space": "categorical"}
    if mixer == "qtran":
        team = TensorDictModule(_JointTable(model), joint, ["joint_action_value"])
        baseline = nn.Linear(model.n_states, 1, bias=False)
        state_value = TensorDictModule(baseline, ["state"], ["state_value"])
        return RobustQTRANLoss(qnet, team, state_value, **options), qnet, team
    if mixer == "vdn":
        module, in_keys = VDNMixer(n_agents=model.n_agents, device="cpu"), [chosen]
    else:
        module, in_keys = (
            QMixer((model.n_states,), MIXING, model.n_agents, "cpu"),
            [chosen, "state"],
        )
    team = TensorDictModule(module, in_keys, ["chosen_action_value"])
    return RobustQMixerLoss(qnet, team, **options), qnet, team


def numeric_worst_value(model: DecPOMDP, uncertainty: UncertaintySet) -> UncertaintySet:
    r"""The set with its ``worst_value`` as a number, and with the same robust values.

    Without one the adversary sends the team to the worst state of the model, and an estimator has
    to be told what that is worth: :math:`v = \min_s V^{rob}(s)`, the quantity that the paper's
    Assumption 2 takes to be 0. The robust values of the model are the fixed point with this number
    too, and there is only one.

    Args:
        model (DecPOMDP): the task.
        uncertainty (UncertaintySet): the set; returned as it is where it needs no number.

    Examples:
        >>> from torchrl_drigm.tabular import random_dec_pomdp
        >>> model = random_dec_pomdp(4, (2, 2), seed=0, reward_range=(-2.0, -1.0))
        >>> tv = UncertaintySet("tv", rho=0.2)
        >>> with_number = numeric_worst_value(model, tv)
        >>> with_number.worst_value < -1.0
        True
        >>> first, second = (robust_value_iteration(model, u).q for u in (tv, with_number))
        >>> torch.allclose(first, second)
        True
    """
    if uncertainty.kind == "none" or uncertainty.worst_value is not None:
        return uncertainty
    worst = robust_value_iteration(model, uncertainty).v.min().item()
    return dataclasses.replace(uncertainty, worst_value=worst)


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
        uncertainty (UncertaintySet): the set. A missing ``worst_value`` is replaced by
            :func:`numeric_worst_value`.
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
        ValueError: for an unknown mixer, a finite set, or a model without rewards.

    Examples:
        >>> from torchrl_drigm.tabular import check_drigm, random_dec_pomdp
        >>> model = random_dec_pomdp(3, (2, 2), seed=0, gamma=0.8, structure="additive")
        >>> found = train_against_exact(
        ...     model, UncertaintySet("contamination", 0.2), "vdn", steps=300
        ... )
        >>> found.error < 0.03
        True
        >>> check_drigm(model, found.uncertainty, found.individual_values).holds
        True
    """
    check_mixer(mixer)
    if isinstance(uncertainty, FiniteSet):
        raise ValueError(
            f"{uncertainty} has no value estimator. Train against an UncertaintySet, a "
            "'contamination' or 'tv' ball around the model's kernel."
        )
    scale = model.reward.abs().max().item()
    if not scale:
        raise ValueError("every reward of the model is 0, and so is every value: nothing to learn.")
    uncertainty = numeric_worst_value(model, uncertainty)
    worst_value = (uncertainty.worst_value or 0.0) / scale
    scaled = dataclasses.replace(model, reward=model.reward / scale)

    # Networks draw their parameters from the global generator: its state is the caller's.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        loss, qnet, team = _make_loss(model, mixer, uncertainty.kind == "tv", dual_loss)
    loss.make_value_estimator(
        ESTIMATORS[uncertainty.kind],
        gamma=model.gamma,
        rho=uncertainty.rho,
        worst_value=worst_value,
    )
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

    q, individual_values = _read_tables(model, qnet, team)
    exact = robust_value_iteration(model, uncertainty).q
    individual_values = tuple(scale * values for values in individual_values)
    return LearnedValues(model, uncertainty, scale * q, individual_values, exact)


@torch.no_grad()
def _read_tables(
    model: DecPOMDP, qnet: TensorDictModule, team: TensorDictModule
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Learned team values ``[S, A_1, ..., A_N]`` and values of states ``[S, A_i]``, float64."""
    pairs = _pairs(model)
    batch = qnet(_look(model, pairs[:, 0]))
    # The network chose the greedy actions; the team value is asked at all of them.
    batch[ACTION] = pairs[:, 1:]
    batch["agents", "chosen_action_value"] = batch[VALUES].gather(-1, pairs[:, 1:, None])
    q = torch.zeros_like(model.reward)
    q[pairs.unbind(-1)] = team(batch)[team.out_keys[0]].squeeze(-1).double()
    values = qnet(_look(model, torch.arange(model.n_states)))[VALUES].double()
    return q, tuple(values[:, agent, :n] for agent, n in enumerate(model.n_actions))
