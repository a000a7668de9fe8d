"""Small networks and random data that the loss tests share."""

import pytest
import torch
from tensordict import TensorDict
from tensordict.nn import TensorDictModule
from torch import nn
from torchrl.modules import QValueModule, SafeSequential
from torchrl.modules.models.multiagent import QMixer, VDNMixer

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
