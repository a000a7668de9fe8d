"""A loss uses the parameters that it is given, and a copy of a loss its own."""

import copy
import io

import pytest
import torch
from tensordict import TensorDict

from tests.objectives.zoo import ALGORITHMS, data_for, make_data, make_loss, make_reward_loss

KINDS = [
    (algorithm, estimator, network)
    for algorithm in ALGORITHMS
    for estimator in ("contamination_td0", "tv_td0", "td0")
    for network in ("mlp", "windows", "gru, masked by the loss")
]
KINDS += [
    (algorithm, estimator, "mlp")
    for algorithm in ALGORITHMS
    for estimator in ("cvar_td0", "kl_td0", "chi2_td0")
]
GROUPS = ("group rewards", None, "mlp")


def make(algorithm, estimator, network):
    loss = (
        make_reward_loss()
        if algorithm == "group rewards"
        else make_loss(algorithm, network, estimator)
    )
    return loss, data_for(network)


def is_network(key):
    return "network" in key[0] or "reward_model" in key[0]


def doubled(params):
    """Twice the networks' parameters; γ and other buffers of the estimator as they are."""
    return params.named_apply(
        lambda key, x: 2 * x if is_network(key) and x.is_floating_point() else x,
        nested_keys=True,
    )


def values_of(loss, data):
    return dict(loss(data.clone()).items())


@pytest.mark.parametrize("kind", [*KINDS, GROUPS], ids=str)
def test_doubled_parameters_give_what_doubling_in_place_gives(kind):
    loss, data = make(*kind)
    before = values_of(loss, data)
    given = doubled(TensorDict.from_module(loss).data.clone())
    with given.to_module(loss):
        found = values_of(loss, data)
    after = values_of(loss, data)
    torch.testing.assert_close(after, before, msg="the loss's own parameters are back")
    for key, parameter in TensorDict.from_module(loss).data.items(True, True):
        if is_network(key) and parameter.is_floating_point():
            parameter.mul_(2)
    torch.testing.assert_close(found, values_of(loss, data))
    assert any(not torch.allclose(found[key], before[key]) for key in found)


@pytest.mark.parametrize("kind", [*KINDS, GROUPS], ids=str)
def test_gradients_reach_the_given_parameters(kind):
    loss, data = make(*kind)
    given = TensorDict.from_module(loss).data.clone()
    leaves = [
        given.get(key).requires_grad_()
        for key in given.keys(True, True)
        if is_network(key) and "target" not in key[0] and given.get(key).is_floating_point()
    ]
    with given.to_module(loss):
        total = sum(v for k, v in values_of(loss, data).items() if k.startswith("loss"))
    found = torch.autograd.grad(total, leaves, allow_unused=True)
    assert sum(g is not None and bool((g != 0).any()) for g in found) >= len(found) // 2
    assert all(p.grad is None for p in loss.parameters())


@pytest.mark.parametrize("kind", [*KINDS, GROUPS], ids=str)
def test_many_sets_of_parameters_at_once(kind):
    """``torch.vmap`` over stacked parameters gives each one's own loss."""
    loss, data = make(*kind)
    own = TensorDict.from_module(loss).data
    sets = [own.clone(), doubled(own.clone())]

    def compute(params):
        with params.to_module(loss):
            return values_of(loss, data)

    expected = [compute(params) for params in sets]
    found = torch.vmap(compute)(torch.stack(sets))
    for key, values in found.items():
        torch.testing.assert_close(values, torch.stack([e[key] for e in expected]))
    assert "td_error" not in data.keys()  # noqa: SIM118
    torch.testing.assert_close(values_of(loss, data), expected[0])


@pytest.mark.parametrize("double_dqn", [False, True])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_many_sets_without_delayed_targets(algorithm, double_dqn):
    data = data_for("mlp")
    loss = make_loss(algorithm, "mlp", "tv_td0", delay_value=False, double_dqn=double_dqn)
    own = TensorDict.from_module(loss).data
    sets = [own.clone(), doubled(own.clone())]

    def compute(params):
        with params.to_module(loss):
            return values_of(loss, data)

    expected = [compute(params) for params in sets]
    for key, values in torch.vmap(compute)(torch.stack(sets)).items():
        torch.testing.assert_close(values, torch.stack([e[key] for e in expected]))


def through_pickle(loss):
    file = io.BytesIO()
    torch.save(loss, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize("copied", [copy.deepcopy, through_pickle])
@pytest.mark.parametrize("kind", [*KINDS, GROUPS], ids=str)
def test_a_used_copy_has_its_own_networks(kind, copied):
    loss, data = make(*kind)
    before = values_of(loss, data)
    other = copied(loss)
    torch.testing.assert_close(values_of(other, data), before)
    for name, buffer in other.named_buffers():
        if name.startswith("target") and "observation" not in name:
            buffer.data.sub_(2.0)
    moved = values_of(other, data)
    if kind != GROUPS:
        main = "loss" if "loss" in before else "loss_td"
        assert not torch.isclose(moved[main], before[main]), "its target networks are looked at"
    for parameter in other.parameters():
        parameter.data.mul_(1.5)
    assert all(
        not torch.isclose(value, moved[key]) or value == 0
        for key, value in values_of(other, data).items()
    ), "its own networks are looked at"
    torch.testing.assert_close(values_of(loss, data), before, msg="the first one is as it was")


@pytest.mark.parametrize("assign", [False, True], ids=["copied", "assigned"])
def test_a_used_loss_takes_a_state_dict(assign):
    loss, other = make_loss("qmix", "windows", "tv_td0"), make_loss("qmix", "windows", "tv_td0", 3)
    data = make_data(masks=False)
    expected = values_of(loss, data)
    values_of(other, data)
    other.load_state_dict(loss.state_dict(), assign=assign)
    torch.testing.assert_close(values_of(other, data), expected)


@pytest.mark.parametrize("kind", [("qmix", "tv_td0", "mlp"), GROUPS], ids=str)
def test_renamed_keys_register_no_network_twice(kind):
    """A network's parameters are the loss's; as a submodule too, they would be moved twice."""
    loss, _ = make(*kind)
    before = set(loss.state_dict())
    loss.set_keys(state="world")
    assert set(loss.state_dict()) == before


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("estimator", ["td0", "tv_td0"])
def test_the_first_batch_changes_no_attribute_of_the_loss(algorithm, estimator):
    """A compiled loss would be compiled once more for the second batch."""
    loss = make_loss(algorithm, "windows", estimator)
    before = {name: value for name, value in vars(loss).items() if name.endswith("in_keys")}
    loss(data_for("windows"))
    assert before and all(vars(loss)[name] is value for name, value in before.items())
    assert set(before["_in_keys"]) == set(loss.in_keys)
