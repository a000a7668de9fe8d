"""Table-sized networks, their losses, and what they have learned.

Axes: ``B`` transitions, ``N`` agents, ``O`` observations (most of any agent), ``A`` actions (most
of any agent), ``S`` states.
"""

from __future__ import annotations

import math

import torch
from tensordict.nn import TensorDictModule
from torch import Tensor, nn
from torchrl.modules import QValueModule, SafeSequential
from torchrl.modules.models.multiagent import QMixer, VDNMixer
from torchrl.objectives import LossModule

from torchrl_drigm.objectives import RobustQMixerLoss, RobustQTRANLoss
from torchrl_drigm.tabular.dec_pomdp import DecPOMDP
from torchrl_drigm.tabular.sampling import ACTION, acting_pairs, look

VALUES = ("agents", "action_value")
# Hidden units of QMIX's mixer: one exponential per state would do, more only slow it down.
MIXING = 8


class AgentTables(nn.Module):
    """A table per agent: one-hot observations ``[B, N, O]`` to values ``[B, N, A]``."""

    def __init__(self, model: DecPOMDP) -> None:
        super().__init__()
        shape = (model.n_agents, int(model.observation.max()) + 1, max(model.n_actions))
        self.weight = nn.Parameter(0.1 * torch.randn(shape))

    def forward(self, observation: Tensor) -> Tensor:
        # [N, B, O] @ [N, O, A] -> [B, N, A]
        return (observation.transpose(0, 1) @ self.weight).transpose(0, 1)


class JointTable(nn.Module):
    """A table: one-hot state ``[B, S]`` and joint action ``[B, N]`` to ``size`` numbers."""

    def __init__(self, model: DecPOMDP, size: int = 1) -> None:
        super().__init__()
        self.n_actions, self.size = model.n_actions, size
        shape = (model.n_states, math.prod(model.n_actions) * size)
        self.weight = nn.Parameter(0.1 * torch.randn(shape))

    def forward(self, state: Tensor, action: Tensor) -> Tensor:
        flat = torch.zeros_like(action[..., 0])
        for n, chosen in zip(self.n_actions, action.unbind(-1), strict=True):
            flat = flat * n + chosen
        # the numbers of a joint action lie side by side
        index = flat.unsqueeze(-1) * self.size + torch.arange(self.size)
        return (state @ self.weight).gather(-1, index)


def make_loss(
    model: DecPOMDP, mixer: str, n_duals: int, dual_loss: str
) -> tuple[LossModule, TensorDictModule, TensorDictModule]:
    """The loss, the agents' network and the one that writes the team value."""
    chosen, joint = ("agents", "chosen_action_value"), ["state", ACTION]
    qnet = SafeSequential(
        TensorDictModule(AgentTables(model), [("agents", "observation")], [VALUES]),
        QValueModule(
            action_space="categorical", action_value_key=VALUES, out_keys=[ACTION, VALUES, chosen]
        ),
    )
    dual = JointTable(model, n_duals) if n_duals else None
    options = {"dual_network": dual, "dual_loss": dual_loss, "action_space": "categorical"}
    if mixer == "qtran":
        team = TensorDictModule(JointTable(model), joint, ["joint_action_value"])
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


@torch.no_grad()
def read_tables(
    model: DecPOMDP, qnet: TensorDictModule, team: TensorDictModule
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Learned team values ``[S, A_1, ..., A_N]`` and values of states ``[S, A_i]``, float64."""
    pairs = acting_pairs(model)
    batch = qnet(look(model, pairs[:, 0]))
    # The network chose the greedy actions; the team value is asked at all of them.
    batch[ACTION] = pairs[:, 1:]
    batch["agents", "chosen_action_value"] = batch[VALUES].gather(-1, pairs[:, 1:, None])
    q = torch.zeros_like(model.reward)
    q[pairs.unbind(-1)] = team(batch)[team.out_keys[0]].squeeze(-1).double()
    values = qnet(look(model, torch.arange(model.n_states)))[VALUES].double()
    return q, tuple(values[:, agent, :n] for agent, n in enumerate(model.n_actions))
