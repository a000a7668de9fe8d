"""Sequences: each agent against torch's own layers, and single steps against unrolls."""

import pytest
import torch
from tensordict import TensorDict
from torch import nn
from torch.nn.functional import one_hot
from torchrl.modules import set_recurrent_mode

from torchrl_drigm.modules import DRQN, RecurrentDRQN

A, T, F, H, N_ACTIONS = 3, 6, 5, 8, 7
STATE = ("agents", "recurrent_state")


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def sequences(*batch):
    observation = torch.randn(*batch, T, A, F)
    return observation, torch.randint(N_ACTIONS, (*batch, T, A))


def reference(drqn, agent, observation, action, start):
    """Values of one agent ``[T, n_actions]`` from step ``start``, as PyMARL computes them."""
    # the first step of an episode has no previous action
    previous = one_hot(action[start:, agent], N_ACTIONS + 1)[..., :N_ACTIONS].float()
    inputs = [observation[start:, agent], previous]
    shared = drqn.share_params

    def own(parameter):
        return parameter if shared else parameter[agent]

    weight = [own(drqn.encoder.weight), own(drqn.action_embedding).t()]
    if drqn.agent_embedding is not None:
        inputs.append(one_hot(torch.tensor(agent), A).float().expand(len(inputs[0]), A))
        weight.append(drqn.agent_embedding.t())
    x = torch.cat(inputs, -1) @ torch.cat(weight, -1).t() + own(drqn.encoder.bias)
    core = {1: nn.GRU, 2: nn.LSTM}[drqn.core.n_states](H, H)
    for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
        getattr(core, f"{name}_l0").data.copy_(own(getattr(drqn.core, name)))
    return core(x.relu())[0].relu() @ own(drqn.head.weight).t() + own(drqn.head.bias)


@pytest.mark.parametrize("core", ["gru", "lstm"])
@pytest.mark.parametrize(
    "shared, agent_id",
    [(True, True), (True, False), (False, False)],
    ids=["shared with ids", "shared", "unshared"],
)
def test_each_agent_is_an_ordinary_recurrent_network(core, shared, agent_id):
    drqn = DRQN(F, N_ACTIONS, A, hidden_size=H, core=core, share_params=shared, agent_id=agent_id)
    observation, action = sequences(2)
    is_init = torch.zeros(2, T, 1, dtype=torch.bool)
    is_init[:, 0] = True
    is_init[1, 4] = True  # a second episode in the second sequence
    action[is_init.squeeze(-1)] = N_ACTIONS
    value, state = drqn.unroll(observation, action, is_init=is_init)
    assert value.shape == (2, T, A, N_ACTIONS)
    assert state.shape == (2, T, A, drqn.state_size)
    with torch.no_grad():
        for agent in range(A):
            expected = reference(drqn, agent, observation[0], action[0], 0)
            torch.testing.assert_close(value[0, :, agent], expected)
            expected = reference(drqn, agent, observation[1], action[1], 0)[:4]
            torch.testing.assert_close(value[1, :4, agent], expected)
            expected = reference(drqn, agent, observation[1], action[1], 4)
            torch.testing.assert_close(value[1, 4:, agent], expected)


@pytest.mark.parametrize("core", ["gru", "lstm"])
@pytest.mark.parametrize("shared", [True, False], ids=["shared", "unshared"])
def test_a_window_is_a_sequence_from_a_zero_state(core, shared):
    drqn = DRQN(F, N_ACTIONS, A, hidden_size=H, core=core, share_params=shared, agent_id=shared)
    observation, action = sequences(4)
    value, _ = drqn.unroll(observation, action)
    window = drqn(observation.transpose(1, 2), action.transpose(1, 2))
    torch.testing.assert_close(window, value[:, -1])


@pytest.mark.parametrize("core", ["gru", "lstm"])
@pytest.mark.parametrize("batch", [(), (4,), (2, 3)])
def test_steps_are_the_sequence(core, batch):
    qnet = RecurrentDRQN(
        DRQN(F, N_ACTIONS, A, hidden_size=H, core=core, share_params=True, agent_id=True),
        features_key=("agents", "features"),
    )
    observation, action = sequences(*batch)
    is_init = torch.zeros(*batch, T, 1, dtype=torch.bool)
    is_init[..., [0, 3], :] = True
    agents = {"observation": observation, "previous_action": action}
    data = TensorDict({"agents": agents, "is_init": is_init}, (*batch, T))
    with set_recurrent_mode(True):
        unrolled = qnet(data.clone())
    features = unrolled["agents", "features"]
    torch.testing.assert_close(qnet.drqn.head(features), unrolled["agents", "action_value"])
    assert (features >= 0).all()
    state = torch.randn(*batch, A, qnet.drqn.state_size)  # is_init clears it
    for step, expected in zip(data.unbind(-1), unrolled.unbind(-1), strict=True):
        step = qnet(step.clone().set(STATE, state))
        for key in (("agents", "action_value"), ("agents", "features"), ("next", *STATE)):
            torch.testing.assert_close(step[key], expected[key])
        state = step["next", *STATE]


def test_a_sequence_starts_from_the_state_of_its_first_step():
    qnet = RecurrentDRQN(DRQN(F, N_ACTIONS, A, hidden_size=H, core="gru", share_params=True))
    observation, action = sequences(2)
    state = torch.randn(2, T, A, H)
    agents = {"observation": observation, "previous_action": action, "recurrent_state": state}
    data = TensorDict({"agents": agents}, [2, T])
    with set_recurrent_mode(True):
        value = qnet(data)["agents", "action_value"]
    expected, _ = qnet.drqn.unroll(observation, action, state[:, 0])
    torch.testing.assert_close(value, expected)
    zero, _ = qnet.drqn.unroll(observation, action)
    assert not torch.allclose(value, zero)


@pytest.mark.parametrize("core", ["gru", "lstm"])
@pytest.mark.parametrize("shared", [True, False], ids=["shared", "unshared"])
@pytest.mark.parametrize("agents", [(), (A,)], ids=["the same", "of each agent"])
def test_observations_are_scaled_before_they_enter(core, shared, agents):
    """In windows and sequences alike."""
    loc, scale = torch.randn(*agents, F), 0.5 + torch.rand(F)
    kwargs = {"hidden_size": H, "core": core, "share_params": shared}
    drqn = DRQN(F, N_ACTIONS, A, observation_loc=loc, observation_scale=scale, **kwargs)
    plain = DRQN(F, N_ACTIONS, A, **kwargs)
    plain.load_state_dict(dict(plain.named_buffers()) | dict(drqn.named_parameters()))
    observation, action = sequences(2)
    scaled = (observation - loc) / scale
    torch.testing.assert_close(drqn.unroll(observation, action), plain.unroll(scaled, action))
    windows = (x.transpose(1, 2) for x in (observation, action))
    torch.testing.assert_close(
        drqn(*windows), plain(scaled.transpose(1, 2), action.transpose(1, 2))
    )


def test_primer_has_the_zero_state_of_every_agent():
    drqn = DRQN(F, N_ACTIONS, A, hidden_size=H, core="lstm", share_params=True)
    primers = RecurrentDRQN(drqn).make_tensordict_primer().primers
    assert primers[STATE].shape == (A, 2 * H)
    flat = RecurrentDRQN(drqn, in_keys=["o", "a", "state", "is_init"]).make_tensordict_primer()
    assert flat.primers["state"].shape == (A, 2 * H)


class TestRefusals:
    def test_agent_id_without_shared_parameters(self):
        with pytest.raises(ValueError, match="share_params=True"):
            DRQN(F, N_ACTIONS, A, agent_id=True)

    def test_shapes(self):
        drqn = DRQN(F, N_ACTIONS, A, hidden_size=H)
        observation, action = sequences(2)
        with pytest.raises(ValueError, match=r"\[\*B, T, n_agents=3, observation_size=5\]"):
            drqn.unroll(observation.transpose(1, 2), action)
        with pytest.raises(ValueError, match="previous_action of shape"):
            drqn.unroll(observation, action[..., :1])

    def test_keys(self):
        for keys in (["o", "a", "h"], ["o", "a", "h", "c", "is_init"]):
            with pytest.raises(ValueError, match="flag of first steps"):
                RecurrentDRQN(DRQN(F, N_ACTIONS, A), in_keys=keys)
