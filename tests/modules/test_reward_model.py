import pytest
import torch
from torch.nn.functional import one_hot

from torchrl_drigm.modules import GroupRewardModel

N_GROUPS, N_AGENTS, N_ACTIONS, S, H = 3, 2, 4, 5, 8


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def make_model(**kwargs):
    sizes = {"n_groups": N_GROUPS, "state_shape": S, "n_agents": N_AGENTS, "n_actions": N_ACTIONS}
    return GroupRewardModel(**{**sizes, "hidden_size": H, **kwargs})


def of_group(tensor, group, dim):
    """The slice of a parameter that belongs to a group; first layers hold G * H rows."""
    return tensor.unflatten(dim, (N_GROUPS, H)).select(dim if dim >= 0 else dim - 1, group)


@pytest.mark.parametrize("batch", [(), (6,), (2, 3)])
@pytest.mark.parametrize("state_shape", [S, (S,), (2, S)])
def test_each_group_is_its_own_network(batch, state_shape):
    """Against one plain network per group, in a loop."""
    model = make_model(state_shape=state_shape)
    shape = (state_shape,) if isinstance(state_shape, int) else state_shape
    state = torch.randn(*batch, *shape)
    action = torch.randint(N_ACTIONS, (*batch, N_AGENTS))
    model.set_scaling(3 * torch.randn(50, *shape) + 7, 40 * torch.randn(50, 1) - 100)
    predicted = model(state, action)
    assert predicted.shape == (*batch, N_GROUPS)

    scaled = ((state - model.state_loc) / model.state_scale).reshape(*batch, -1)
    hot = one_hot(action, N_ACTIONS).reshape(*batch, -1).float()
    for group in range(N_GROUPS):
        weight, bias = model.state_encoder.weight, model.state_encoder.bias
        from_state = scaled @ of_group(weight, group, 0).t() + of_group(bias, group, 0)
        table = of_group(model.action_encoder.weight, group, -1).reshape(-1, H)
        from_action = hot @ table + of_group(model.action_encoder.bias, group, -1)
        x = torch.cat([from_state.relu(), from_action.relu()], -1)
        x = (x @ model.hidden.weight[group].t() + model.hidden.bias[group]).relu()
        x = (x @ model.head.weight[group].t() + model.head.bias[group]).squeeze(-1)
        expected = model.reward_loc + model.reward_scale * x
        torch.testing.assert_close(predicted[..., group], expected)
    torch.testing.assert_close(model(state, one_hot(action, N_ACTIONS)), predicted)


def test_gradient_of_a_group_stays_in_the_group():
    model = make_model()
    state, action = torch.randn(6, S), torch.randint(N_ACTIONS, (6, N_AGENTS))
    model(state, action)[:, 1].sum().backward()
    first = {"state_encoder.weight": 0, "state_encoder.bias": 0}
    first |= {"action_encoder.weight": -1, "action_encoder.bias": -1}
    for name, parameter in model.named_parameters():
        for group in range(N_GROUPS):
            gradient = parameter.grad
            gradient = of_group(gradient, group, first[name]) if name in first else gradient[group]
            assert bool(gradient.any()) == (group == 1), (name, group)


class TestScaling:
    def test_by_hand(self):
        model = make_model(state_shape=2)
        state = torch.tensor([[1.0, 5.0], [3.0, 5.0]])
        model.set_scaling(state, torch.tensor([[-90.0], [-110.0]]))
        assert model.state_loc.tolist() == [2.0, 5.0]
        # a feature that does not vary keeps its scale
        torch.testing.assert_close(model.state_scale, torch.tensor([2**0.5, 1.0]))
        assert model.reward_loc.item() == -100.0
        assert model.reward_scale.item() == pytest.approx(200**0.5)

    def test_what_varies_by_rounding_keeps_its_scale(self):
        model, noise = make_model(state_shape=2), torch.tensor([[1.0], [-1.0]])
        state = torch.cat([1e4 + 0.5 * noise, 1e4 + 5.0 * noise], -1)
        model.set_scaling(state, 1e-9 * noise)
        torch.testing.assert_close(model.state_scale, torch.tensor([1.0, 5.0 * 2**0.5]))
        assert model.reward_scale == 1

    def test_is_saved_with_the_parameters(self):
        model, other = make_model(), make_model()
        model.set_scaling(torch.randn(9, S), torch.randn(9, 1))
        other.load_state_dict(model.state_dict())
        state, action = torch.randn(4, S), torch.zeros(4, N_AGENTS, dtype=torch.int64)
        assert torch.equal(model(state, action), other(state, action))

    @pytest.mark.parametrize("bad", ["state", "reward"])
    def test_refuses_what_is_not_finite_and_stays_as_it_was(self, bad):
        model = make_model()
        data = {"state": torch.randn(9, S), "reward": torch.randn(9, 1)}
        data[bad][4] = float("nan")
        with pytest.raises(ValueError, match=f"{bad} must hold at least two entries, all finite"):
            model.set_scaling(**data)
        assert model.reward_scale == 1 and (model.state_loc == 0).all()

    def test_refuses_a_single_entry(self):
        with pytest.raises(ValueError, match="received 1,"):
            make_model().set_scaling(torch.zeros(1, S), torch.zeros(1, 1))


class TestErrors:
    @pytest.mark.parametrize("n_groups", [0, -1])
    def test_no_group(self, n_groups):
        with pytest.raises(ValueError, match="n_groups must be an int of at least 1"):
            make_model(n_groups=n_groups)

    @pytest.mark.parametrize("shape", [(2, S + 1), ()])
    def test_state(self, shape):
        with pytest.raises(ValueError, match="expected state of shape"):
            make_model()(torch.zeros(shape), torch.zeros(2, N_AGENTS, dtype=torch.int64))

    def test_action(self):
        with pytest.raises(ValueError, match="expected int64 action of shape"):
            make_model()(torch.zeros(2, S), torch.zeros(2, N_AGENTS + 1, dtype=torch.int64))
