"""QTRAN's networks against their formula, and their errors."""

import pytest
import torch
from torch.nn.functional import one_hot

from torchrl_drigm.modules import QTRANJointValue, QTRANStateValue

N_AGENTS, N_ACTIONS, STATE, F, H = 3, 4, 5, 6, 8


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.mark.parametrize("batch", [(), (7,), (2, 3)])
@pytest.mark.parametrize("feature_size, with_state", [(None, True), (F, True), (F, False)])
def test_joint_value_equals_its_formula(batch, feature_size, with_state):
    joint = QTRANJointValue(
        STATE, N_AGENTS, N_ACTIONS, feature_size, hidden_size=H, with_state=with_state
    )
    state = torch.randn(*batch, STATE)
    action = torch.randint(N_ACTIONS, (*batch, N_AGENTS))
    features = None if feature_size is None else torch.randn(*batch, N_AGENTS, F)
    value = joint(state, action, features)
    assert value.shape == (*batch, 1)
    parts = [joint.encoder.state_encoder(state).relu()] if with_state else []
    if features is not None:
        parts.append(joint.encoder.feature_encoder(features.sum(-2)).relu())
    hot = one_hot(action, N_ACTIONS)
    weight, bias = joint.action_encoder.weight.reshape(-1, H), joint.action_encoder.bias
    parts.append((hot.reshape(*batch, -1).float() @ weight + bias).relu())
    torch.testing.assert_close(value, joint.head(torch.cat(parts, -1)))
    torch.testing.assert_close(joint(state, hot, features), value)
    other = torch.randint(N_ACTIONS, (*batch, N_AGENTS))
    received, other_value = joint.value_and_other(state, action, other, features)
    assert torch.equal(received, value)
    assert torch.equal(other_value, joint(state, other, features))
    assert not other_value.requires_grad


@pytest.mark.parametrize("feature_size", [None, F])
def test_state_value_does_not_depend_on_the_order_of_agents(feature_size):
    network = QTRANStateValue((2, STATE), feature_size, hidden_size=H)
    state = torch.randn(7, 2, STATE)
    features = None if feature_size is None else torch.randn(7, N_AGENTS, F)
    value = network(state, features)
    assert value.shape == (7, 1)
    parts = [network.encoder.state_encoder(state.flatten(1))]
    if features is not None:
        parts.append(network.encoder.feature_encoder(features.sum(-2)))
    torch.testing.assert_close(value, network.head(torch.cat(parts, -1).relu()))
    if features is not None:
        torch.testing.assert_close(network(state, features.flip(-2)), value)
        assert not torch.allclose(network(state, features * 2), value)


class TestErrors:
    def test_state(self):
        with pytest.raises(ValueError, match="expected state of shape"):
            QTRANStateValue(STATE)(torch.zeros(2, STATE + 1))

    def test_missing_features(self):
        with pytest.raises(ValueError, match="received no features"):
            QTRANStateValue(STATE, F)(torch.zeros(2, STATE))

    def test_unexpected_features(self):
        with pytest.raises(ValueError, match="feature_size=None and received agent features"):
            QTRANStateValue(STATE)(torch.zeros(2, STATE), torch.zeros(2, N_AGENTS, F))

    def test_neither_state_nor_features(self):
        with pytest.raises(ValueError, match="leave nothing that tells one step from another"):
            QTRANJointValue(STATE, N_AGENTS, N_ACTIONS, with_state=False)

    def test_action(self):
        with pytest.raises(ValueError, match="expected int64 action of shape"):
            QTRANJointValue(STATE, N_AGENTS, N_ACTIONS)(
                torch.zeros(2, STATE), torch.zeros(2, N_AGENTS)
            )
