"""Small networks and random data that the loss tests share."""

import pytest
import torch
from tensordict import TensorDict
from tensordict.nn import TensorDictModule
from torch import nn
from torchrl.modules import QValueModule, SafeSequential
from torchrl.modules.models.multiagent import QMixer, VDNMixer
from torchrl.objectives import SoftUpdate

from torchrl_drigm.modules import DualNetwork
from torchrl_drigm.objectives import RobustQMixerLoss

N_AGENTS, N_ACTIONS, OBS, STATE = 3, 4, 5, 6
Q_OUT_KEYS = [("agents", "action"), ("agents", "action_value"), ("agents", "chosen_action_value")]


def make_qnet(action_space="categorical", action_mask_key=None, n_actions=N_ACTIONS):
    """Per-agent Q-network, greedy by TorchRL's ``QValueModule``."""
    net = nn.Sequential(nn.Linear(OBS, 16), nn.Tanh(), nn.Linear(16, n_actions))
    return SafeSequential(
        TensorDictModule(net, [("agents", "observation")], [("agents", "action_value")]),
        QValueModule(
            action_space=action_space,
            action_value_key=("agents", "action_value"),
            action_mask_key=action_mask_key,
            out_keys=Q_OUT_KEYS,
        ),
    )


def make_mixer(kind="qmix", n_agents=N_AGENTS):
    """TorchRL's own VDN or QMIX mixer."""
    if kind == "vdn":
        mixer, in_keys = VDNMixer(n_agents=n_agents, device="cpu"), []
    else:
        mixer = QMixer(state_shape=(STATE,), mixing_embed_dim=8, n_agents=n_agents, device="cpu")
        in_keys = ["state"]
    return TensorDictModule(
        mixer, [("agents", "chosen_action_value"), *in_keys], ["chosen_action_value"]
    )


def make_data(*batch, action_space="categorical", mask=False, seed=0, terminated=0.3):
    """Random transitions ``[*batch]``; a share of them terminal, a share truncated."""
    generator = torch.Generator().manual_seed(seed)

    def rand(*shape):
        return torch.randn(*batch, *shape, generator=generator)

    def step():
        td = TensorDict(
            {"agents": TensorDict({"observation": rand(N_AGENTS, OBS)}, [*batch, N_AGENTS])}, batch
        )
        td["state"] = rand(STATE)
        if mask:
            available = rand(N_AGENTS, N_ACTIONS) > 0
            available[..., 0] = True
            td["agents", "action_mask"] = available
        return td

    td = step()
    scores = rand(N_AGENTS, N_ACTIONS)
    if mask:
        scores = scores.masked_fill(~td["agents", "action_mask"], -1e9)
    action = scores.argmax(-1)
    if action_space == "one-hot":
        action = nn.functional.one_hot(action, N_ACTIONS)
    td["agents", "action"] = action
    td["next"] = step()
    end = torch.rand(*batch, 1, generator=generator)
    td["next", "reward"] = rand(1)
    td["next", "terminated"] = end < terminated
    td["next", "truncated"] = (end > 0.9) & ~td["next", "terminated"]
    td["next", "done"] = td["next", "terminated"] | td["next", "truncated"]
    return td


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def make_loss(cls=RobustQMixerLoss, mixer="qmix", action_space="categorical", seed=0, **kwargs):
    """A loss whose parameters depend on the seed only, with target networks that differ."""
    torch.manual_seed(seed)
    qnet, mixer = make_qnet(action_space), make_mixer(mixer)
    loss = cls(qnet, mixer, action_space=action_space, **kwargs)
    if loss.delay_value:
        SoftUpdate(loss, eps=0.9)
        generator = torch.Generator().manual_seed(seed + 1)
        for name in ("target_local_value_network_params", "target_mixer_network_params"):
            for p in getattr(loss, name).values(True, True):
                p.data.add_(torch.randn(p.shape, generator=generator) * 0.1)
    return loss


def make_dual():
    return DualNetwork(state_shape=STATE, n_agents=N_AGENTS, n_actions=N_ACTIONS, hidden_size=16)


def gradients(loss_module, loss):
    names, params = zip(*loss_module.named_parameters(), strict=True)
    params = [p for p in params if p.requires_grad]
    return dict(zip(names, torch.autograd.grad(loss, params, allow_unused=True), strict=False))


class Table(nn.Module):
    """Q-values that are the observation itself, so that every number is known."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, observation):
        return observation * self.scale


class ConstantDual(nn.Module):
    def __init__(self, value):
        super().__init__()
        self.value = nn.Parameter(torch.tensor(float(value)))

    def forward(self, state, action):
        return self.value.expand(*state.shape[:-1], 1)


def table_loss(dual=None, mask_key=None, n_agents=2, **kwargs):
    qnet = SafeSequential(
        TensorDictModule(Table(), [("agents", "observation")], [("agents", "action_value")]),
        QValueModule(
            action_space="categorical",
            action_value_key=("agents", "action_value"),
            action_mask_key=mask_key,
            out_keys=Q_OUT_KEYS,
        ),
    )
    mixer = TensorDictModule(
        VDNMixer(n_agents=n_agents, device="cpu"),
        [("agents", "chosen_action_value")],
        ["chosen_action_value"],
    )
    return RobustQMixerLoss(
        qnet, mixer, dual_network=dual, action_space="categorical", delay_value=False, **kwargs
    )


def table_data(terminated=(False,), truncated=(False,), reward=1.0):
    """Two agents, two actions: Q_tot(s, a) = 1 + 2 = 3 and max Q_tot(s') = 4 + 6 = 10."""
    n = len(terminated)
    observation = torch.tensor([[1.0, 0.0], [0.0, 2.0]]).expand(n, 2, 2)
    next_observation = torch.tensor([[4.0, -1.0], [5.0, 6.0]]).expand(n, 2, 2)
    terminated, truncated = torch.tensor(terminated)[:, None], torch.tensor(truncated)[:, None]
    return TensorDict(
        {
            "agents": {"observation": observation, "action": torch.tensor([[0, 1]]).expand(n, 2)},
            "state": torch.zeros(n, 1),
            "next": {
                "agents": {"observation": next_observation},
                "state": torch.zeros(n, 1),
                "reward": torch.full((n, 1), reward),
                "terminated": terminated,
                "truncated": truncated,
                "done": terminated | truncated,
            },
        },
        [n],
    ).clone()


ENDS = {"terminated": (False, False, True), "truncated": (False, True, False)}
