import pytest
import torch
from tensordict import TensorDict
from torch import nn
from torch.nn.functional import one_hot

from torchrl_drigm.modules import DRQN, RecurrentDRQN

N_AGENTS, W, F, H, N_ACTIONS = 3, 4, 5, 8, 7
LOC = torch.tensor([22.0, 10.0, 0.0, 0.0, 1.0])
SCALE = torch.tensor([2.0, 20.0, 20.0, 1.0, 0.2])


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def make(**kwargs):
    return DRQN(F, N_ACTIONS, N_AGENTS, hidden_size=H, **kwargs)


def inputs(*batch, window=W):
    observation = torch.randn(*batch, N_AGENTS, window, F)
    return observation, torch.randint(N_ACTIONS, (*batch, N_AGENTS, window))


class Reference(nn.Module):
    """One agent as the released configuration writes it: one-hot actions, torch's own layers."""

    def __init__(self, core):
        super().__init__()
        self.encoder = nn.Linear(F + N_ACTIONS, H)
        self.core = nn.Linear(H, H)
        if core != "none":
            self.core = {"lstm": nn.LSTM, "gru": nn.GRU}[core](H, H, batch_first=True)
        self.head = nn.Linear(H, N_ACTIONS)

    def load(self, drqn, agent):
        def pick(parameter, n_dims):
            return parameter if parameter.ndim == n_dims else parameter[agent]

        table = pick(drqn.action_embedding, 2)
        weight = torch.cat([pick(drqn.encoder.weight, 2), table.t()], 1)
        self.encoder.weight.data.copy_(weight.detach())
        self.encoder.bias.data.copy_(pick(drqn.encoder.bias, 1).detach())
        self.head.weight.data.copy_(pick(drqn.head.weight, 2).detach())
        self.head.bias.data.copy_(pick(drqn.head.bias, 1).detach())
        for name, own in self.core.named_parameters():
            value = pick(getattr(drqn.core, name.removesuffix("_l0")), own.ndim).detach()
            own.data.copy_(value)
        return self

    def forward(self, observation, previous_action):
        x = (observation - LOC) / SCALE
        x = torch.cat([x, one_hot(previous_action, N_ACTIONS)], -1)
        output = self.core(self.encoder(x).relu())
        output = output[0] if isinstance(output, tuple) else output
        return self.head(output.relu())[:, -1]


CORES = pytest.mark.parametrize(("core", "window"), [("lstm", W), ("gru", W), ("none", 1)])


@CORES
@pytest.mark.parametrize("share_params", [False, True], ids=["unshared", "shared"])
def test_equals_one_network_per_agent(core, window, share_params):
    drqn = make(core=core, share_params=share_params, observation_loc=LOC, observation_scale=SCALE)
    agents = [Reference(core).load(drqn, agent) for agent in range(N_AGENTS)]
    observation, action = inputs(6, window=window)
    observation = observation * SCALE + LOC
    value = drqn(observation, action)
    expected = torch.stack(
        [agent(observation[:, i], action[:, i]) for i, agent in enumerate(agents)], 1
    )
    torch.testing.assert_close(value, expected, atol=1e-5, rtol=1e-5)

    weight = torch.randn_like(value)
    (value * weight).sum().backward()
    (expected * weight).sum().backward()
    # [A, H, F + n_actions], as one linear layer over observation and one-hot action
    gradient = torch.stack([agent.encoder.weight.grad for agent in agents])
    if share_params:
        gradient = gradient.sum(0)
    table = gradient[..., F:].transpose(-2, -1)
    torch.testing.assert_close(drqn.action_embedding.grad, table, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(drqn.encoder.weight.grad, gradient[..., :F], atol=1e-5, rtol=1e-4)


@CORES
@pytest.mark.parametrize("share_params", [False, True], ids=["unshared", "shared"])
@pytest.mark.parametrize("batch", [(), (2, 3)])
def test_chosen_value_is_that_of_all_values(core, window, share_params, batch):
    drqn = make(core=core, share_params=share_params)
    windows = inputs(*batch, window=window)
    action = torch.randint(N_ACTIONS, (*batch, N_AGENTS))
    value = drqn.chosen_value(*windows, action)
    expected = drqn(*windows).gather(-1, action.unsqueeze(-1))
    torch.testing.assert_close(value, expected)
    weight = torch.randn_like(value)
    gradient, expected = (
        torch.autograd.grad((v * weight).sum(), list(drqn.parameters())) for v in (value, expected)
    )
    torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("share_params", [False, True], ids=["unshared", "shared"])
@pytest.mark.parametrize("batch", [(), (2, 3)])
def test_greedy_and_chosen_values_are_those_of_all_values(share_params, batch):
    drqn = make(share_params=share_params, with_features=True)
    windows = inputs(*batch)
    action = torch.randint(N_ACTIONS, (*batch, N_AGENTS))
    greedy, *outputs = drqn.greedy_and_chosen(*windows, action)
    every_value, features = drqn(*windows)
    assert torch.equal(greedy, every_value.argmax(-1))
    expected = [every_value.gather(-1, torch.stack([greedy, action], -1)), features]
    torch.testing.assert_close(outputs, expected)
    weights = [torch.randn_like(output) for output in outputs]
    gradient, expected = (
        torch.autograd.grad(
            sum((v * w).sum() for v, w in zip(of, weights, strict=True)), list(drqn.parameters())
        )
        for of in (outputs, expected)
    )
    torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
def test_any_batch(batch):
    drqn = make()
    observation, action = inputs(*batch)
    value = drqn(observation, action)
    flat = drqn(observation.reshape(-1, N_AGENTS, W, F), action.reshape(-1, N_AGENTS, W))
    torch.testing.assert_close(value, flat.reshape(*batch, N_AGENTS, N_ACTIONS))


def test_agents_do_not_mix():
    drqn = make()
    observation, action = inputs(2)
    value = drqn(observation, action)
    observation[:, 0] += 1
    changed = drqn(observation, action)
    assert not torch.equal(changed[:, 0], value[:, 0])
    torch.testing.assert_close(changed[:, 1:], value[:, 1:])


def test_initialisation_counts_the_one_hot_inputs():
    drqn = DRQN(F, 1000, N_AGENTS)
    bound = (F + 1000) ** -0.5
    for parameter in (drqn.encoder.weight, drqn.encoder.bias, drqn.action_embedding):
        assert 0.9 * bound < parameter.max() <= bound
        assert -bound <= parameter.min() < -0.9 * bound
    with_index = DRQN(F, 20, 50, share_params=True, agent_id=True)
    bound = (F + 20 + 50) ** -0.5
    for parameter in (with_index.encoder.weight, with_index.agent_embedding):
        assert 0.9 * bound < parameter.max() <= bound
        assert -bound <= parameter.min() < -0.9 * bound
    assert 0.9 * 64**-0.5 < drqn.head.weight.abs().max() <= 64**-0.5


def test_functional_parameters():
    drqn = make()
    other = make()
    arguments = inputs(2)
    with TensorDict.from_module(other).data.to_module(drqn):
        value = drqn(*arguments)
    torch.testing.assert_close(value, other(*arguments))


def test_float64():
    drqn = make().double()
    observation, action = inputs(2)
    assert drqn(observation.double(), action).dtype == torch.float64


class TestErrors:
    def test_core(self):
        with pytest.raises(
            ValueError, match=r"core must be one of \['gru', 'lstm', 'none'\].*'rnn'"
        ):
            make(core="rnn")

    def test_memory_of_a_core_that_has_none(self):
        drqn = make(core="none")
        with pytest.raises(ValueError, match=r"core='none' remembers nothing.*windows of 4 steps"):
            drqn(*inputs(2))
        sequences = torch.zeros(2, 9, N_AGENTS, F), torch.zeros(2, 9, N_AGENTS, dtype=torch.int64)
        with pytest.raises(ValueError, match="core='none' carries no state along a sequence"):
            drqn.unroll(*sequences)
        with pytest.raises(ValueError, match="core='none' carries no state along a sequence"):
            RecurrentDRQN(drqn)

    @pytest.mark.parametrize("bad", [0.0, -1.0, torch.inf, torch.nan])
    def test_scale(self, bad):
        """One feature's is enough."""
        for scale in (bad, [*[1.0] * (F - 1), bad]):
            with pytest.raises(ValueError, match="observation_scale must be positive everywhere"):
                make(observation_scale=scale)

    @pytest.mark.parametrize("bad", [-torch.inf, torch.nan])
    def test_loc(self, bad):
        with pytest.raises(ValueError, match="observation_loc must be finite, received"):
            make(observation_loc=[*[1.0] * (F - 1), bad])

    @pytest.mark.parametrize(
        "shape", [(2, N_AGENTS + 1, W, F), (2, N_AGENTS, W, F + 1), (N_AGENTS, F)]
    )
    def test_observation(self, shape):
        with pytest.raises(ValueError, match="expected observation of shape"):
            make()(torch.zeros(shape), torch.zeros(shape[:-1], dtype=torch.int64))

    def test_previous_action(self):
        observation, action = inputs(2)
        with pytest.raises(ValueError, match="expected previous_action of shape"):
            make()(observation, one_hot(action, N_ACTIONS))

    def test_chosen_action(self):
        action = torch.zeros(2, N_AGENTS, 1, dtype=torch.int64)
        for values in (make().chosen_value, make().greedy_and_chosen):
            with pytest.raises(ValueError, match="expected action of shape"):
                values(*inputs(2), action)

    def test_action_out_of_range(self):
        observation, action = inputs(2)
        action[0, 0, 0] = N_ACTIONS
        with pytest.raises(IndexError, match="out of bounds"):
            make()(observation, action)
