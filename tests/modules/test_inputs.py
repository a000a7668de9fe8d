"""Types of actions and flags, and transforms of functions, alike in all networks."""

import pytest
import torch
from tensordict import TensorDict
from torch.func import functional_call, stack_module_state
from torchrl.modules import set_recurrent_mode

from torchrl_drigm.modules import (
    DRQN,
    DualNetwork,
    GroupRewardModel,
    JointActionEncoder,
    MultiAgentGRU,
    MultiAgentLSTM,
    QTRANJointValue,
    RecurrentDRQN,
)

B, T, A, F, S, N_ACTIONS = 4, 3, 2, 5, 6, 7


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def drqn(shared=False):
    return DRQN(F, N_ACTIONS, A, hidden_size=8, share_params=shared, agent_id=shared)


def recurrent(shared, observation, previous_action, mode):
    qnet = RecurrentDRQN(drqn(shared))
    agents = {"observation": observation, "previous_action": previous_action}

    def run(action):
        data = TensorDict({"agents": {**agents, "previous_action": action}}, [B, T])
        with set_recurrent_mode(mode):
            return qnet(data if mode else data[:, 0])["agents", "action_value"]

    return run, previous_action


def networks():
    """By name: a function of categorical actions alone, and actions."""
    window = torch.randn(B, A, T, F)
    previous, action = torch.randint(N_ACTIONS, (B, A, T)), torch.randint(N_ACTIONS, (B, A))
    state = torch.randn(B, S)
    joint, dual = QTRANJointValue(S, A, N_ACTIONS), DualNetwork(S, A, N_ACTIONS)
    encoder, rewards = JointActionEncoder(A, N_ACTIONS, 8), GroupRewardModel(2, S, A, N_ACTIONS)
    sequence, previous_actions = window.transpose(1, 2), previous.transpose(1, 2)
    found = {
        "encoder": (lambda a: encoder(a, [B]), action),
        "dual": (lambda a: dual(state, a), action),
        "qtran": (lambda a: joint(state, a), action),
        "qtran, other": (lambda a: joint.value_and_other(state, action, a)[1], action),
        "rewards": (lambda a: rewards(state, a), action),
    }
    for shared in (False, True):
        net, name = drqn(shared), "shared" if shared else "own"
        found |= {
            f"window, {name}": (lambda a, net=net: net(window, a), previous),
            f"chosen, {name}": (lambda a, net=net: net.chosen_value(window, previous, a), action),
            f"greedy, {name}": (
                lambda a, net=net: net.greedy_and_chosen(window, previous, a)[1],
                action,
            ),
            f"unroll, {name}": (lambda a, net=net: net.unroll(sequence, a)[0], previous_actions),
            f"steps, {name}": recurrent(shared, sequence, previous_actions, False),
            f"sequences, {name}": recurrent(shared, sequence, previous_actions, True),
        }
    return found


NAMES = list(networks())


@pytest.mark.parametrize("name", NAMES)
class TestActions:
    @pytest.mark.parametrize("dtype", [torch.int32, torch.int16, torch.int8, torch.uint8])
    def test_integers_of_any_type(self, name, dtype):
        run, action = networks()[name]
        torch.testing.assert_close(run(action.to(dtype)), run(action), atol=0, rtol=0)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bool])
    def test_others_are_refused_by_name(self, name, dtype):
        run, action = networks()[name]
        with pytest.raises(ValueError, match=f"action .*received {dtype}"):
            run(action.to(dtype))

    @pytest.mark.parametrize("wrong", [-1, N_ACTIONS + 1])
    def test_those_that_do_not_exist_are_refused_by_name(self, name, wrong):
        run, action = networks()[name]
        action[0, 0] = wrong
        with pytest.raises(IndexError, match="action is out of bounds: actions must be from 0 to"):
            run(action)

    def test_none_is_for_sequences_alone(self, name):
        run, action = networks()[name]
        action[0, 0] = N_ACTIONS
        if any(kind in name for kind in ("unroll", "steps", "sequences")):
            assert run(action).isfinite().all()
        else:
            with pytest.raises(IndexError, match=f"from 0 to {N_ACTIONS - 1}"):
                run(action)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.float32])
class TestFlags:
    @pytest.mark.parametrize("cls", [MultiAgentGRU, MultiAgentLSTM])
    def test_of_cores(self, cls, dtype):
        core, x = cls(F, 8, A), torch.randn(B, T, A, F)
        is_init = torch.rand(B, T) < 0.5
        torch.testing.assert_close(core(x, None, is_init.to(dtype)), core(x, None, is_init))

    @pytest.mark.parametrize("cls", [MultiAgentGRU, MultiAgentLSTM])
    def test_that_are_none(self, cls, dtype):
        is_init = torch.zeros(B, T)
        is_init[1, 1] = torch.nan if dtype == torch.float32 else 2
        with pytest.raises(ValueError, match=f"{cls.__name__}: is_init must hold True and False"):
            cls(F, 8, A)(torch.randn(B, T, A, F), None, is_init.to(dtype))

    @pytest.mark.parametrize("mode", [False, True], ids=["acting", "sequences"])
    @pytest.mark.parametrize("stored", [False, True], ids=["no state", "states stored"])
    def test_of_agents(self, dtype, mode, stored):
        qnet = RecurrentDRQN(drqn())
        agents = {
            "observation": torch.randn(B, T, A, F),
            "previous_action": torch.randint(N_ACTIONS, (B, T, A)),
        }
        if stored:
            agents["recurrent_state"] = torch.randn(B, T, A, 16)
        is_init = torch.rand(B, T, 1) < 0.5
        data = TensorDict({"agents": agents, "is_init": is_init}, [B, T])
        converted = data.clone().set("is_init", is_init.to(dtype))
        if not mode:
            data, converted = data[:, 0], converted[:, 0]
        with set_recurrent_mode(mode):
            expected = qnet(data)["agents", "action_value"]
            torch.testing.assert_close(qnet(converted)["agents", "action_value"], expected)


class TestFunctionTransforms:
    """``torch.vmap`` over networks, as ensembles use it, equals the loop over them."""

    def check(self, nets, *args):
        params, buffers = stack_module_state(nets)
        template = nets[0]

        def call(params, buffers):
            return functional_call(template, (params, buffers), args)

        received = torch.vmap(call)(params, buffers)
        expected = torch.stack([net(*args) for net in nets])
        torch.testing.assert_close(received, expected)
        return call, params, buffers

    @pytest.mark.parametrize("shared", [False, True], ids=["unshared", "shared"])
    @pytest.mark.parametrize(("core", "window"), [("gru", T), ("lstm", T), ("none", 1)])
    def test_drqn(self, shared, core, window):
        nets = [
            DRQN(F, N_ACTIONS, A, hidden_size=8, core=core, share_params=shared) for _ in range(3)
        ]
        self.check(nets, torch.randn(B, A, window, F), torch.randint(N_ACTIONS, (B, A, window)))

    def test_dual(self):
        nets = [DualNetwork(S, A, N_ACTIONS) for _ in range(3)]
        self.check(nets, torch.randn(B, S), torch.randint(N_ACTIONS, (B, A)))

    @pytest.mark.parametrize("shared", [False, True], ids=["unshared", "shared"])
    def test_actions_too(self, shared):
        net, observation = drqn(shared), torch.randn(B, A, T, F)
        actions = torch.randint(N_ACTIONS, (3, B, A, T))
        received = torch.vmap(lambda action: net(observation, action))(actions)
        expected = torch.stack([net(observation, action) for action in actions])
        torch.testing.assert_close(received, expected)
        actions[1, 0, 0, 0] = N_ACTIONS
        with pytest.raises(IndexError, match="out of bounds"):
            torch.vmap(lambda action: net(observation, action))(actions)

    @pytest.mark.parametrize("shared", [False, True], ids=["unshared", "shared"])
    @pytest.mark.parametrize("core", ["gru", "lstm"])
    def test_sequences_in_pieces(self, shared, core):
        net = DRQN(F, N_ACTIONS, A, hidden_size=8, core=core, share_params=shared)
        observation, action = torch.randn(3, B, T, A, F), torch.randint(N_ACTIONS, (3, B, T, A))
        state, is_init = torch.randn(3, B, T, A, net.state_size), torch.rand(3, B, T, 1) < 0.5
        args = observation, action, state, is_init
        value, after = torch.vmap(net.unroll)(*args)
        for i, one in enumerate(zip(*args, strict=True)):
            torch.testing.assert_close((value[i], after[i]), net.unroll(*one))
