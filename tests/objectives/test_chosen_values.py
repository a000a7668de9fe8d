"""Networks that compute the values of some actions alone: the losses are those of all values."""

import pytest
import torch
from tensordict.nn import TensorDictModule
from torch import nn
from torchrl.modules import SafeSequential
from torchrl.objectives.multiagent import QMixerLoss

from tests.objectives.conftest import (
    N_ACTIONS,
    N_AGENTS,
    OBS,
    gradients,
    make_data,
    make_mixer,
    make_qnet,
)
from tests.objectives.qtran import FEATURES, H
from tests.objectives.qtran import make_loss as make_qtran
from torchrl_drigm.modules import DRQN, QTRANJointValue
from torchrl_drigm.objectives import RobustQMixerLoss, RobustQTRANLoss


class ForwardOnly(nn.Module):
    """A network without its other methods."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, *inputs):
        return self.network(*inputs)


def make_windows():
    data = make_data(8)
    for step in (data, data["next"]):
        step["agents", "history"] = {
            "observation": torch.randn(8, N_AGENTS, 5, OBS),
            "action": torch.randint(N_ACTIONS, (8, N_AGENTS, 5)),
        }
    return data


def assert_same(first, second, data):
    """Losses and gradients of two losses."""
    losses = [dict(loss(data.clone()).items()) for loss in (first, second)]
    torch.testing.assert_close(*losses)
    found = [
        list(gradients(loss, sum(values.values())).values())
        for loss, values in zip((first, second), losses, strict=True)
    ]
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-6)


def test_chosen_values():
    def make(cls):
        torch.manual_seed(0)
        drqn = DRQN(OBS, N_ACTIONS, N_AGENTS, hidden_size=8)
        history = [("agents", "history", "observation"), ("agents", "history", "action")]
        values = TensorDictModule(drqn, history, [("agents", "action_value")])
        *_, greedy = make_qnet().module
        qnet = SafeSequential(values, greedy)
        return cls(qnet, make_mixer(), action_space="categorical", delay_value=False)

    data = make_windows()
    ours, theirs = make(RobustQMixerLoss), make(QMixerLoss)
    with pytest.raises(KeyError, match="history"):
        ours(data.exclude(("agents", "history")))
    loss, expected = ours(data.clone())["loss"], theirs(data.clone())["loss"]
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(gradients(ours, loss), gradients(theirs, expected))


@pytest.mark.parametrize("masked", [False, True], ids=["all legal", "masked"])
def test_two_values_of_each_agent(masked):
    """A DRQN, beside the same one inside of a module that computes every value only."""

    def make(wrap):
        loss = make_qtran()
        torch.manual_seed(0)
        drqn = wrap(DRQN(OBS, N_ACTIONS, N_AGENTS, hidden_size=H, with_features=True))
        history = [("agents", "history", "observation"), ("agents", "history", "action")]
        *_, greedy = loss.local_value_network.module
        qnet = SafeSequential(
            TensorDictModule(drqn, history, [("agents", "action_value"), FEATURES]), greedy
        )
        networks = loss.joint_value_network, loss.state_value_network
        return RobustQTRANLoss(qnet, *networks, action_space="categorical", delay_value=False)

    data = make_windows()
    for step in (data, data["next"]) if masked else ():
        step["agents", "action_mask"] = torch.rand(8, N_AGENTS, N_ACTIONS) < 0.5
        step["agents", "action_mask"][..., 0] = True
    assert_same(make(lambda drqn: drqn), make(ForwardOnly), data)


@pytest.mark.parametrize("reordered", [False, True], ids=["forward only", "reordered"])
def test_two_joint_values(reordered):
    """QTRAN's joint network, beside ones that cannot give two values, or read in another order."""

    class Reordered(QTRANJointValue):
        def forward(self, action, state, features):
            return super().forward(state, action, features)

    def other(joint):
        state, action, features = joint.in_keys
        if reordered:
            joint.module.__class__ = Reordered
            return TensorDictModule(joint.module, [action, state, features], joint.out_keys)
        return TensorDictModule(ForwardOnly(joint.module), joint.in_keys, joint.out_keys)

    def make(change):
        loss = make_qtran()
        joint = change(loss.joint_value_network)
        networks = loss.local_value_network, joint, loss.state_value_network
        return RobustQTRANLoss(*networks, action_space="categorical", delay_value=False)

    assert_same(make(lambda joint: joint), make(other), make_data(8))
