"""A loss runs the networks that it was given: subclasses, hooks, wrappers, all that they read."""

import pytest
import torch
from tensordict import TensorDict
from tensordict.nn import TensorDictModule
from torch import nn
from torchrl.modules import QValueModule, SafeSequential
from torchrl.objectives.multiagent import QMixerLoss

from tests.objectives.conftest import N_ACTIONS, N_AGENTS, OBS, Q_OUT_KEYS, STATE, make_mixer
from tests.objectives.zoo import HIDDEN, VALUES, make_data, make_loss
from torchrl_drigm.modules import DRQN, DualNetwork, QTRANJointValue, QTRANStateValue
from torchrl_drigm.objectives import RobustQMixerLoss, RobustQTRANLoss

HISTORY = [("agents", "history", "observation"), ("agents", "history", "action")]
FEATURES = ("agents", "features")


class TenTimes(DRQN):
    """A subclass with another forward."""

    def forward(self, observation, previous_action):
        out = super().forward(observation, previous_action)
        return (10 * out[0], out[1]) if self.with_features else 10 * out


class Wrapper(nn.Module):
    """A module that hides a network, and what it declares, behind its own forward."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, *inputs):
        out = self.network(*inputs)
        return (10 * out[0], *out[1:]) if isinstance(out, tuple) else 10 * out


class Head(nn.Module):
    """Another head than the library's: ten times what it would give."""

    def __init__(self, head):
        super().__init__()
        self.head = head

    def forward(self, x):
        return 10 * self.head(x)


def times_ten(module, inputs, output):
    return (10 * output[0], *output[1:]) if isinstance(output, tuple) else 10 * output


def values_times_ten(module, inputs, tensordict):
    return tensordict.set(VALUES, 10 * tensordict[VALUES])


# ways to make a network give ten times its values, each of which a loss could go past
CHANGES = {
    "subclass": lambda drqn: drqn,
    "hook": lambda drqn: drqn.register_forward_hook(times_ten) and drqn,
    "hook on the head": lambda drqn: drqn.head.register_forward_hook(times_ten) and drqn,
    "another head": lambda drqn: setattr(drqn, "head", Head(drqn.head)) or drqn,
    "wrapper": Wrapper,
    "forward of the object": lambda drqn: (
        setattr(drqn, "forward", lambda *x, f=drqn.forward: times_ten(None, None, f(*x))) or drqn
    ),
    "forward of the head": lambda drqn: (
        setattr(drqn.head, "forward", lambda *x, f=drqn.head.forward: 10 * f(*x)) or drqn
    ),
    "forward of the module": lambda drqn: drqn,
    "hook on the module": lambda drqn: drqn,
    "hook on the agents": lambda drqn: drqn,
}


def make_agents(change, with_features=False):
    torch.manual_seed(0)
    cls = TenTimes if change == "subclass" else DRQN
    drqn = CHANGES[change](
        cls(OBS, N_ACTIONS, N_AGENTS, hidden_size=HIDDEN, with_features=with_features)
    )
    values = TensorDictModule(drqn, HISTORY, [VALUES, FEATURES] if with_features else [VALUES])
    greedy = QValueModule(action_space="categorical", action_value_key=VALUES, out_keys=Q_OUT_KEYS)
    agents = SafeSequential(values, greedy)
    if change == "hook on the module":
        values.register_forward_hook(values_times_ten)
    if change == "forward of the module":
        plain = values.forward
        values.forward = lambda td, *args, **kwargs: values_times_ten(None, None, plain(td))
    if change == "hook on the agents":
        agents.register_forward_hook(
            lambda module, inputs, td: td.set(VALUES, 10 * td[VALUES]).set(
                Q_OUT_KEYS[2], 10 * td[Q_OUT_KEYS[2]]
            )
        )
    return agents


@pytest.mark.parametrize("mixer", ["vdn", "qmix"])
@pytest.mark.parametrize("change", CHANGES)
def test_changed_networks_give_torchrls_loss(change, mixer):
    losses = []
    for cls in (RobustQMixerLoss, QMixerLoss):
        agents = make_agents(change)
        torch.manual_seed(1)
        loss = cls(agents, make_mixer(mixer), action_space="categorical", delay_value=False)
        loss.make_value_estimator("td0", gamma=0.9)
        losses.append(loss(make_data(8, masks=False))["loss"])
    torch.testing.assert_close(*losses)


@pytest.mark.parametrize("change", CHANGES)
def test_changed_networks_give_the_loss_of_a_network_that_declares_nothing(change):
    """QTRAN, which TorchRL lacks: beside the same agents inside of a plain module."""

    class Plain(nn.Module):
        def __init__(self, agents):
            super().__init__()
            self.agents = agents

        def forward(self, observation, action):
            data = {"history": {"observation": observation, "action": action}}
            data = TensorDict({"agents": data}, [])
            return tuple(self.agents(data)[key] for key in (VALUES, FEATURES))

    losses = []
    for plain in (False, True):
        agents = make_agents(change, with_features=True)
        if plain:
            agents = TensorDictModule(Plain(agents), HISTORY, [VALUES, FEATURES])
        torch.manual_seed(1)
        joint = QTRANJointValue(STATE, N_AGENTS, N_ACTIONS, feature_size=HIDDEN, hidden_size=8)
        joint = TensorDictModule(
            joint, ["state", ("agents", "action"), FEATURES], ["joint_action_value"]
        )
        state = QTRANStateValue(STATE, feature_size=HIDDEN, hidden_size=8)
        state = TensorDictModule(state, ["state", FEATURES], ["state_value"])
        loss = RobustQTRANLoss(agents, joint, state, delay_value=False)
        losses.append(dict(loss(make_data(8, masks=False)).items()))
    torch.testing.assert_close(*losses)


def test_an_ordinary_network_is_not_asked_for_all_values(monkeypatch):
    """The fast path is taken where nothing stands in its way: the head is never run as a whole."""
    agents = make_agents("subclass")
    agents[0].module.__class__ = DRQN
    loss = RobustQMixerLoss(agents, make_mixer(), action_space="categorical", delay_value=False)
    calls, plain = [], DRQN.forward
    monkeypatch.setattr(DRQN.chosen_value, "fast_path_of", lambda *x: None)
    loss(make_data(8, masks=False))

    def counted(self, *inputs):
        calls.append(1)
        return plain(self, *inputs)

    monkeypatch.setattr(DRQN, "forward", counted)
    monkeypatch.setattr(DRQN.chosen_value, "fast_path_of", counted)
    loss(make_data(8, masks=False))
    assert len(calls) == 1, "for the next step alone"


class Dueling(nn.Module):
    """A mixer that reads all values and the actions taken beside the chosen ones, as QPLEX's."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([0.5, 2.0, -1.0]))

    def forward(self, chosen, values, action, state):
        advantage = (chosen - values.amax(-1, keepdim=True)).sum((-2, -1))
        taken = action.double().to(state.dtype).mean(-1)
        parts = torch.stack([chosen.sum((-2, -1)), advantage, taken * state[..., 0]], -1)
        return (parts * self.weight).sum(-1, keepdim=True)


class TestMixersThatReadMore:
    def loss(self, cls, agents, reads):
        class WithoutActions(Dueling):
            def forward(self, chosen, values, state):
                return super().forward(chosen, values, torch.zeros_like(chosen[..., 0]), state)

        mixer = Dueling() if "action" in reads else WithoutActions()
        keys = [Q_OUT_KEYS[2], VALUES, *([("agents", "action")] if "action" in reads else [])]
        mixer = TensorDictModule(mixer, [*keys, "state"], ["chosen_action_value"])
        return cls(agents, mixer, action_space="categorical", delay_value=False)

    def test_all_values_as_torchrl_gives_them(self):
        data = make_data(8, masks=False)
        losses = []
        for cls in (RobustQMixerLoss, QMixerLoss):
            loss = self.loss(cls, make_agents("wrapper"), reads="values")
            losses.append(loss.make_value_estimator("td0", gamma=0.9) or loss)
        ours, theirs = (loss(data.clone())["loss"] for loss in losses)
        torch.testing.assert_close(ours, theirs)
        fast = self.loss(RobustQMixerLoss, make_agents("hook"), reads="values")
        fast.local_value_network[0].module._forward_hooks.clear()
        slow = self.loss(QMixerLoss, make_agents("hook"), reads="values")
        slow.local_value_network[0].module._forward_hooks.clear()
        for loss in (fast, slow):
            loss.make_value_estimator("td0", gamma=0.9)
        torch.testing.assert_close(fast(data.clone())["loss"], slow(data.clone())["loss"])

    def test_the_actions_taken_now_and_the_greedy_ones_next(self):
        """By hand; TorchRL's loss shows the mixer the greedy actions at both."""
        loss = self.loss(RobustQMixerLoss, make_agents("wrapper"), reads="values, action")
        loss.make_value_estimator("td0", gamma=0.9)
        data = make_data(8, masks=False)
        values, mixer = loss.local_value_network[0].module, loss.mixer_network.module
        q = values(*(data[key] for key in HISTORY))
        q_next = values(*(data[("next", *key)] for key in HISTORY))
        action = data["agents", "action"]
        team = mixer(q.gather(-1, action.unsqueeze(-1)), q, action, data["state"])
        best = q_next.argmax(-1)
        following = mixer(
            q_next.gather(-1, best.unsqueeze(-1)), q_next, best, data["next", "state"]
        )
        target = data["next", "reward"] + 0.9 * ~data["next", "terminated"] * following
        expected = (team - target.detach()).square().mean()
        torch.testing.assert_close(loss(data)["loss"], expected)


class TestPlainDual:
    """A plain dual module reads the state and the action by the keys that the loss has for them."""

    def loss(self, algorithm="qmix"):
        return make_loss(algorithm, "mlp", "tv_td0")

    @pytest.mark.parametrize("algorithm", ["vdn", "qmix", "qtran"])
    def test_follows_the_renamed_state(self, algorithm):
        data = make_data(8, masks=False)
        expected = self.loss(algorithm)(data.clone())
        loss = self.loss(algorithm)
        loss.set_keys(state=("world", "state"))
        assert loss.dual_network.in_keys[0] == ("world", "state")
        assert ("world", "state") in loss.in_keys
        data["world", "state"] = data["state"].clone()
        assert torch.equal(loss(data)["loss_dual"], expected["loss_dual"])

    def test_follows_the_renamed_action_and_its_own_output(self):
        loss = self.loss("vdn")
        loss.set_keys(action=("agents", "taken"), dual_value="eta")
        assert loss.dual_network.in_keys[1] == ("agents", "taken")
        data = make_data(8, masks=False)
        data["agents", "taken"] = data["agents", "action"]
        assert loss(data)["loss_dual"].isfinite()
        loss.set_keys(action=None)
        assert loss.dual_network.in_keys[1] == ("agents", "action")

    def test_without_a_state_the_remedy_is_named(self):
        data = make_data(8, masks=False).exclude("state")
        with pytest.raises(ValueError, match=r'set_keys\(state=\("agents", "observation"\)\)'):
            self.loss("vdn")(data)

    def test_observations_serve_as_the_state(self):
        torch.manual_seed(0)
        dual = DualNetwork((N_AGENTS, OBS), N_AGENTS, N_ACTIONS)
        loss = RobustQMixerLoss(
            make_agents("hook"),
            make_mixer("vdn"),
            dual_network=dual,
            action_space="categorical",
            delay_value=False,
        )
        loss.make_value_estimator("tv_td0", rho=0.1)
        loss.set_keys(state=("agents", "observation"))
        assert loss(make_data(8, masks=False).exclude("state"))["loss_dual"].isfinite()


class TestSelectedOutputs:
    @pytest.mark.parametrize("algorithm", ["qmix", "qtran"])
    def test_select_and_reset(self, algorithm):
        loss = make_loss(algorithm, "mlp", "tv_td0")
        data, every = make_data(8, masks=False), list(loss.out_keys)
        loss.select_out_keys("loss_dual")
        assert loss.out_keys == ["loss_dual"]
        assert list(loss(data.clone()).keys()) == ["loss_dual"]
        loss.reset_out_keys()
        assert loss.out_keys == every
        assert set(loss(data.clone()).keys()) == set(every)

    def test_assigned(self):
        loss = make_loss("qmix")
        loss.out_keys = ["loss"]
        assert loss.out_keys == loss.out_keys_source == ["loss"]

    @pytest.mark.parametrize("algorithm", ["qmix", "qtran"])
    def test_make_value_estimator_returns_the_loss(self, algorithm):
        loss = make_loss(algorithm, "mlp", "tv_td0")
        for value_type in ("tv_td0", "td0", None, loss.value_estimator, type(loss.value_estimator)):
            hyper = {"gamma": 0.9} if isinstance(value_type, type) else {}
            assert loss.make_value_estimator(value_type, **hyper) is loss
