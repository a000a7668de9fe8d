import pytest
import torch
from torch.nn.functional import one_hot

from torchrl_drigm.modules import DualNetwork

N_AGENTS, N_ACTIONS, S, H = 3, 4, 5, 8


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.mark.parametrize("batch", [(), (6,), (2, 3)])
@pytest.mark.parametrize("state_shape", [S, (S,), (2, S)])
def test_equals_the_one_hot_formula(batch, state_shape):
    dual = DualNetwork(state_shape, N_AGENTS, N_ACTIONS, H)
    shape = (state_shape,) if isinstance(state_shape, int) else state_shape
    state = torch.randn(*batch, *shape)
    action = torch.randint(N_ACTIONS, (*batch, N_AGENTS))
    hot = one_hot(action, N_ACTIONS)
    value = dual(state, action)
    assert value.shape == (*batch, 1)

    # [A, n_actions, H] -> [A * n_actions, H]: the concatenated one-hot actions' weight
    embedded = hot.reshape(*batch, -1).float() @ dual.action_encoder.weight.reshape(-1, H)
    features = [
        dual.state_encoder(state.reshape(*batch, -1)).relu(),
        (embedded + dual.action_encoder.bias).relu(),
    ]
    expected = dual.head[2](dual.head[0](torch.cat(features, -1)).relu())
    torch.testing.assert_close(value, expected)
    for dtype in (torch.int64, torch.bool, torch.float32):
        torch.testing.assert_close(dual(state, hot.to(dtype)), expected)


def test_gradients_agree():
    dual = DualNetwork(S, N_AGENTS, N_ACTIONS, H)
    state, action = torch.randn(6, S), torch.randint(N_ACTIONS, (6, N_AGENTS))
    parameters = list(dual.parameters())
    ours = torch.autograd.grad(dual(state, action).sum(), parameters)
    wanted = torch.autograd.grad(dual(state, one_hot(action, N_ACTIONS)).sum(), parameters)
    torch.testing.assert_close(ours, wanted)


def test_agents_are_told_apart_when_actions_number_the_agents():
    dual = DualNetwork(S, n_agents=3, n_actions=3, hidden_size=H)
    state = torch.randn(3, S)
    action = torch.tensor([[0, 1, 2], [1, 0, 2], [2, 1, 0]])
    torch.testing.assert_close(dual(state, action), dual(state, one_hot(action, 3)))
    assert dual(state[:1].expand(3, S), action).unique().numel() == 3


@pytest.mark.parametrize("batch", [(), (6,), (2, 3)])
def test_as_many_numbers_as_the_set_has(batch):
    dual = DualNetwork(S, N_AGENTS, N_ACTIONS, H, n_duals=2)
    value = dual(torch.randn(*batch, S), torch.randint(N_ACTIONS, (*batch, N_AGENTS)))
    assert value.shape == (*batch, 2) and dual.n_duals == 2
    assert DualNetwork(S, N_AGENTS, N_ACTIONS).n_duals == 1


def test_float64():
    dual = DualNetwork(S, N_AGENTS, N_ACTIONS, H).double()
    state = torch.randn(2, S, dtype=torch.float64)
    action = torch.zeros(2, N_AGENTS, dtype=torch.int64)
    assert dual(state, action).dtype == torch.float64
    assert dual(state, one_hot(action, N_ACTIONS)).dtype == torch.float64


def test_initialisation_counts_all_inputs():
    weight = DualNetwork(S, 50, 20).action_encoder.weight
    bound = 1000**-0.5
    assert 0.9 * bound < weight.max() <= bound and -bound <= weight.min() < -0.9 * bound


class TestErrors:
    @pytest.mark.parametrize("n_duals", [0, 1.5, True])
    def test_number_of_duals(self, n_duals):
        with pytest.raises(ValueError, match="dual network: n_duals must be an int of at least 1"):
            DualNetwork(S, N_AGENTS, N_ACTIONS, n_duals=n_duals)

    @pytest.mark.parametrize("shape", [(2, S + 1), ()])
    def test_state(self, shape):
        dual = DualNetwork(S, N_AGENTS, N_ACTIONS)
        with pytest.raises(ValueError, match="expected state of shape"):
            dual(torch.zeros(shape), torch.zeros(2, N_AGENTS, dtype=torch.int64))

    @pytest.mark.parametrize(
        "action",
        [
            torch.zeros(2, N_AGENTS),
            torch.zeros(2, N_AGENTS + 1, dtype=torch.int64),
            torch.zeros(1, N_AGENTS, dtype=torch.int64),
            torch.zeros(2, N_AGENTS, N_ACTIONS + 1),
        ],
    )
    def test_action(self, action):
        dual = DualNetwork(S, N_AGENTS, N_ACTIONS)
        with pytest.raises(ValueError, match="expected int64 action of shape"):
            dual(torch.zeros(2, S), action)

    def test_action_out_of_range(self):
        dual = DualNetwork(S, N_AGENTS, N_ACTIONS)
        with pytest.raises(IndexError, match="out of bounds"):
            dual(torch.zeros(2, S), torch.full((2, N_AGENTS), N_ACTIONS))
