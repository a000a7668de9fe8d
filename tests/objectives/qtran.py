"""QTRAN's loss on small networks, and on tables whose every number is known."""

import torch
from tensordict import TensorDict
from tensordict.nn import TensorDictModule
from torch import nn
from torchrl.modules import QValueModule, SafeSequential
from torchrl.objectives import SoftUpdate

from tests.objectives.conftest import N_ACTIONS, N_AGENTS, OBS, Q_OUT_KEYS, STATE
from torchrl_drigm.modules import QTRANJointValue, QTRANStateValue
from torchrl_drigm.objectives import RobustQTRANLoss

FEATURES = ("agents", "features")
H = 8


class Agents(nn.Module):
    """Encoder and head, with the encoder's features shared, as in the DRQN."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(OBS, H)
        self.head = nn.Linear(H, N_ACTIONS)

    def forward(self, observation):
        features = self.encoder(observation).tanh()
        return self.head(features), features


def make_loss(seed=0, action_space="categorical", mask_key=None, dual_network=None, **kwargs):
    torch.manual_seed(seed)
    qnet = SafeSequential(
        TensorDictModule(
            Agents(), [("agents", "observation")], [("agents", "action_value"), FEATURES]
        ),
        QValueModule(
            action_space=action_space,
            action_value_key=("agents", "action_value"),
            action_mask_key=mask_key,
            out_keys=Q_OUT_KEYS,
        ),
    )
    joint = TensorDictModule(
        QTRANJointValue(STATE, N_AGENTS, N_ACTIONS, feature_size=H, hidden_size=16),
        ["state", ("agents", "action"), FEATURES],
        ["joint_action_value"],
    )
    state = TensorDictModule(
        QTRANStateValue(STATE, feature_size=H, hidden_size=16), ["state", FEATURES], ["state_value"]
    )
    loss = RobustQTRANLoss(
        qnet, joint, state, dual_network=dual_network, action_space=action_space, **kwargs
    )
    if loss.delay_value:
        SoftUpdate(loss, eps=0.9)
    return loss


class Table(nn.Module):
    """Q-values that are the observation itself."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, observation):
        return observation * self.scale


class JointTable(nn.Module):
    """Joint values ``[2, 2]`` that are the state itself, looked up by the joint action."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, state, action):
        index = action[..., 0] * 2 + action[..., 1]
        return self.scale * state[..., :4].gather(-1, index.unsqueeze(-1))


class StateTable(nn.Module):
    """State values that are the last entry of the state."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, state):
        return self.scale * state[..., 4:]


def table_loss(**kwargs):
    qnet = SafeSequential(
        TensorDictModule(Table(), [("agents", "observation")], [("agents", "action_value")]),
        QValueModule(
            action_space="categorical",
            action_value_key=("agents", "action_value"),
            out_keys=Q_OUT_KEYS,
        ),
    )
    joint = TensorDictModule(JointTable(), ["state", ("agents", "action")], ["joint_action_value"])
    state = TensorDictModule(StateTable(), ["state"], ["state_value"])
    return RobustQTRANLoss(qnet, joint, state, delay_value=False, **kwargs)


def table_data(action, terminated=False):
    """Two agents, two actions; greedy now (0, 1) and next (1, 0).

    Now: Q_1 = (2, 1), Q_2 = (0, 3), joint (00, 01, 10, 11) = (1, 4, 7, 2), V = 0.5.
    Next: Q_1 = (0, 1), Q_2 = (6, 5), joint = (3, 8, 10, 20), V = 9: joint(1, 0) = 10.
    """
    flag = torch.tensor([[terminated]])
    return TensorDict(
        {
            "agents": {
                "observation": torch.tensor([[[2.0, 1.0], [0.0, 3.0]]]),
                "action": torch.tensor([action]),
            },
            "state": torch.tensor([[1.0, 4.0, 7.0, 2.0, 0.5]]),
            "next": {
                "agents": {"observation": torch.tensor([[[0.0, 1.0], [6.0, 5.0]]])},
                "state": torch.tensor([[3.0, 8.0, 10.0, 20.0, 9.0]]),
                "reward": torch.ones(1, 1),
                "terminated": flag,
                "done": flag.clone(),
            },
        },
        [1],
    )
