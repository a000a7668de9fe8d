"""Short calls of networks do what TensorDict's own do."""

import pytest
import torch
from tensordict import TensorDict
from tensordict.nn import TensorDictModule, TensorDictSequential, set_skip_existing
from torch import nn
from torchrl.modules import SafeSequential

from torchrl_drigm.modules._calls import run, under


class Pair(nn.Module):
    def forward(self, x, y):
        return x + y, x - y


def data():
    return TensorDict({"x": torch.arange(3.0), "a": {"y": torch.ones(3)}}, [3])


def pair(**options):
    return TensorDictModule(Pair(), ["x", ("a", "y")], ["sum", ("b", "difference")], **options)


def counted(module):
    module.register_forward_hook(lambda module, args, out: out.set("seen", torch.ones(3)))
    return module


def selected():
    sequence = SafeSequential(pair(), TensorDictModule(torch.neg, ["sum"], ["minus"]))
    sequence.select_out_keys("minus")
    return sequence


MODULES = {
    "plain": pair,
    "by keyword": lambda: TensorDictModule(
        lambda x, y: x - y, {"y": "x", "x": ("a", "y")}, ["d"], out_to_in_map=True
    ),
    "into a new tensordict": lambda: pair(inplace=False),
    "a method": lambda: TensorDictModule(Pair(), ["x", ("a", "y")], ["s", "d"], method="forward"),
    "an ignored output": lambda: TensorDictModule(Pair(), ["x", ("a", "y")], ["_", "d"]),
    "a dictionary": lambda: TensorDictModule(lambda x: {"z": -x}, ["x"], ["z"]),
    "with a hook": lambda: counted(pair()),
    "a new one in a sequence": lambda: TensorDictSequential(
        pair(inplace=False), TensorDictModule(torch.neg, ["sum"], ["minus"])
    ),
    "a sequence": lambda: TensorDictSequential(pair(), TensorDictModule(torch.neg, ["sum"], ["m"])),
    "a part with a hook": lambda: SafeSequential(counted(pair())),
    "selected outputs": selected,
    "selected at once": lambda: TensorDictSequential(pair(), selected_out_keys=["sum"]),
}


@pytest.mark.parametrize("kind", MODULES)
def test_it_writes_what_the_module_writes(kind):
    module, expected, found = MODULES[kind](), data(), data()
    for one, other in ((module(expected), run(module, found)), (expected, found)):
        keys = set(one.keys(True, True))
        assert set(other.keys(True, True)) == keys
        for key in keys:
            assert other[key] is not None
            if isinstance(one[key], torch.Tensor):
                torch.testing.assert_close(other[key], one[key])


@pytest.mark.parametrize("gives", [dict, TensorDict], ids=lambda kind: kind.__name__)
def test_a_network_is_called_once(gives):
    calls = []

    def network(x):
        calls.append(x)
        return gives({"z": -x})

    module = TensorDictModule(network, ["x"], ["z"])
    run(module, data())
    assert len(calls) == 1


def test_what_is_missing_is_said_as_tensordict_says_it():
    with pytest.raises(KeyError, match="inputs are None"):
        run(TensorDictModule(lambda x: x + None, ["z"], ["w"]), data())


def test_existing_entries_are_skipped_where_that_is_asked_for():
    td = data().set("sum", torch.zeros(3)).set(("b", "difference"), torch.zeros(3))
    with set_skip_existing(True):
        run(pair(), td)
    assert not td["sum"].any()


@pytest.mark.parametrize(
    "network", [nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)), nn.LSTM(3, 4)], ids=str
)
def test_a_network_has_the_parameters_given_and_its_own_again(network):
    network.eval()
    given = TensorDict.from_module(network).data.apply(lambda x: 2 * x)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    x = torch.randn(5, 3)
    with given.to_module(network):
        expected = network(x)
    with under(given, network):
        found = network(x)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(network.state_dict(), before, rtol=0.0, atol=0.0)


def test_a_network_has_its_own_parameters_again_after_an_error():
    network = nn.Linear(3, 4)
    weight, bias = network.weight, network.bias
    given = TensorDict({"weight": torch.zeros(4, 3), "bias": torch.zeros(4)})
    with pytest.raises(RuntimeError, match="on purpose"), under(given, network):
        assert not network(torch.ones(3)).any()
        raise RuntimeError("on purpose")
    assert network.weight is weight
    assert network.bias is bias
