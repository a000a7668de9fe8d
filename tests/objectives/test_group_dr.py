"""GroupRewardLoss: known rewards of three environments come out, each from its own data."""

import pytest
import torch
from tensordict import TensorDict
from tensordict.nn import TensorDictModule
from tensordict.utils import unravel_key
from torch import nn

from torchrl_drigm.modules import GroupRewardModel
from torchrl_drigm.objectives import GroupRewardLoss

N_GROUPS, N_AGENTS, N_ACTIONS, STATE, H = 3, 2, 4, 3, 8
NOISE = 2.0


class Table(nn.Module):
    """Predictions ``[*B, 3]`` of three groups, one number each."""

    def __init__(self):
        super().__init__()
        self.value = nn.Parameter(torch.tensor([1.0, 2.0, 3.0]))

    def forward(self, state, action):
        return self.value.expand(*state.shape[:-1], 3)


def make_model():
    return GroupRewardModel(N_GROUPS, STATE, N_AGENTS, N_ACTIONS, hidden_size=H)


def make_data(n=16):
    return TensorDict(
        {
            "state": torch.randn(n, STATE),
            "agents": {"action": torch.randint(N_ACTIONS, (n, N_AGENTS))},
            "group": torch.randint(N_GROUPS, (n, 1)),
            "next": {"reward": torch.randn(n, 1)},
        },
        [n],
    )


def known_reward(state, action, group):
    """``[*B, 1]``: from -100 to 0, another function in each environment."""
    first, second = action.float().split(1, -1)
    rewards = (
        -50 + 10 * state[..., :1] + 5 * first,
        -20 - 8 * state[..., 1:2].abs() - 6 * second,
        -60 + 9 * (first - second).abs() * state[..., 2:].tanh(),
    )
    return torch.cat(rewards, -1).gather(-1, group)


def test_by_hand():
    loss = GroupRewardLoss(Table())
    data = make_data(2)
    data["group"] = torch.tensor([[0], [2]])
    data["next", "reward"] = torch.tensor([[0.0], [5.0]])
    value = loss(data)["loss_reward"]
    assert value.item() == ((1 - 0) ** 2 + (3 - 5) ** 2) / 2
    value.backward()
    # d/dv of (v - r)^2 / 2
    assert loss.reward_model_params["module", "value"].grad.tolist() == [1.0, 0.0, -2.0]


def test_recovers_known_rewards_to_within_their_noise():
    n = 6000
    data = make_data(n)
    clean = known_reward(data["state"], data["agents", "action"], data["group"])
    data["next", "reward"] = clean + NOISE * torch.randn(n, 1)
    model = GroupRewardModel(N_GROUPS, STATE, N_AGENTS, N_ACTIONS, hidden_size=32)
    model.set_scaling(data["state"], data["next", "reward"])
    loss = GroupRewardLoss(model)
    updates = 1200
    optimizer = torch.optim.Adam(loss.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, updates)
    for _ in range(updates):
        loss(data[torch.randint(n, (256,))])["loss_reward"].backward()
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()

    fresh = make_data(3000)
    state, action = fresh["state"], fresh["agents", "action"]
    with torch.no_grad():
        predicted = model(state, action)
    for group in range(N_GROUPS):
        index = torch.full((3000, 1), group)
        wanted = known_reward(state, action, index)
        error = (predicted[:, group : group + 1] - wanted).square().mean().sqrt()
        assert error < NOISE / 2, (group, error)
        assert wanted.std() > 3 * NOISE  # it is no constant that was learned
    # hence their minimum: the worst case over the environments
    everyone = torch.arange(N_GROUPS).expand(3000, -1)
    worst = torch.cat(
        [known_reward(state, action, everyone[:, g : g + 1]) for g in range(N_GROUPS)], -1
    ).amin(-1)
    assert (predicted.amin(-1) - worst).square().mean().sqrt() < NOISE / 2


@pytest.mark.parametrize("group", range(N_GROUPS))
def test_gradients_reach_the_group_and_nothing_else(group):
    model = make_model()
    loss = GroupRewardLoss(model)
    data = make_data().fill_("group", group)
    loss(data)["loss_reward"].backward()
    owned = {parameter.data_ptr() for parameter in model.parameters()}
    assert {parameter.data_ptr() for parameter in loss.parameters()} == owned
    for name, parameter in loss.reward_model_params.flatten_keys(".").items():
        if not isinstance(parameter, nn.Parameter):
            continue  # location and scale
        gradient = parameter.grad
        if "encoder" in name:  # H columns of each group, first or last
            dim = -1 if "action" in name else 0
            gradient = gradient.movedim(dim, 0).unflatten(0, (N_GROUPS, H))
        reached = [bool(gradient[g].any()) for g in range(N_GROUPS)]
        assert reached == [g == group for g in range(N_GROUPS)], name


def test_scaling_set_after_the_loss_was_built_counts():
    model = make_model()
    loss = GroupRewardLoss(model)
    data = make_data()
    model.set_scaling(data["state"], 100 * data["next", "reward"])
    own = model(data["state"], data["agents", "action"]).gather(-1, data["group"])
    expected = (own - data["next", "reward"]).square().mean()
    torch.testing.assert_close(loss(data)["loss_reward"], expected)


class TestKeys:
    @pytest.mark.parametrize("new", ["renamed", ("deep", "er", "renamed")])
    @pytest.mark.parametrize("name", ["state", "action", "group", "reward", "group_reward"])
    def test_every_key_can_be_renamed(self, name, new):
        model, data = make_model(), make_data()
        expected = GroupRewardLoss(model)(data)["loss_reward"]
        loss = GroupRewardLoss(model)
        old = getattr(loss.tensor_keys, name)
        loss.set_keys(**{name: new})
        if name == "reward":
            old, new = ("next", old), unravel_key(("next", new))
        if name != "group_reward":
            data.rename_key_(old, new)
            assert new in loss.in_keys and old not in loss.in_keys
        assert torch.equal(loss(data)["loss_reward"], expected)

    def test_dispatch(self):
        loss, data = GroupRewardLoss(make_model()), make_data()
        value = loss(
            state=data["state"],
            agents_action=data["agents", "action"],
            group=data["group"],
            next_reward=data["next", "reward"],
        )
        assert torch.equal(value, loss(data)["loss_reward"])

    def test_tensordict_module(self):
        model, data = make_model(), make_data()
        expected = GroupRewardLoss(model)(data)["loss_reward"]
        module = TensorDictModule(model, ["state", ("agents", "action")], ["group_reward"])
        assert torch.equal(GroupRewardLoss(module)(data)["loss_reward"], expected)

    def test_batch_of_sequences(self):
        loss, data = GroupRewardLoss(make_model()), make_data()
        assert torch.equal(loss(data.reshape(4, 4))["loss_reward"], loss(data)["loss_reward"])

    def test_leaves_the_data_alone(self):
        data = make_data()
        before = data.clone()
        GroupRewardLoss(make_model())(data)
        assert set(data.keys(True, True)) == set(before.keys(True, True))
        assert (data == before).all()


class TestErrors:
    @pytest.fixture
    def loss(self):
        return GroupRewardLoss(make_model())

    @pytest.mark.parametrize(("index", "found"), [(3, "from 0 to 3"), (-1, "from -1 to 0")])
    def test_group_out_of_range(self, loss, index, found):
        data = make_data().fill_("group", 0)
        data["group"][5] = index
        with pytest.raises(ValueError, match=f"'group' holds indices {found}, .* has 3 groups"):
            loss(data)

    @pytest.mark.parametrize("group", [torch.zeros(16).long(), torch.zeros(16, 1)])
    def test_group_shape_and_type(self, loss, group):
        data = make_data().set("group", group)
        with pytest.raises(ValueError, match="'group' must be one int64 index per transition"):
            loss(data)

    def test_reward_with_an_agent_dimension(self, loss):
        data = make_data()
        data["next", "reward"] = torch.zeros(16, N_AGENTS, 1)
        with pytest.raises(ValueError, match="must be one team reward"):
            loss(data)

    @pytest.mark.parametrize("key", ["state", ("next", "reward")])
    def test_not_finite(self, key):
        data = make_data()
        data[key][3, 0] = float("inf")
        with pytest.raises(ValueError, match="entries that are not finite in") as error:
            GroupRewardLoss(make_model())(data)
        assert f"{key!r}: 1 of" in str(error.value)
        assert "loss_reward" in GroupRewardLoss(make_model(), check_finite=False).forward(data)
