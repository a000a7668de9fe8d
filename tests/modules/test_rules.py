"""One small test for each rule of the agents' networks, named after the rule."""

import pytest
import torch
from tensordict import TensorDict
from tensordict.nn import TensorDictModule

from torchrl_drigm.modules import (
    DRQN,
    ChosenValue,
    MultiAgentGRU,
    MultiAgentLSTM,
    RecurrentDRQN,
    fast_path_of,
)
from torchrl_drigm.modules._fast_path import fast_path
from torchrl_drigm.modules._kernels.basic import look_up

T, A, F, H, N_ACTIONS = 4, 2, 3, 5, 3
START = 2  # the step at which nothing is carried over
CORES = pytest.mark.parametrize("core", [MultiAgentGRU, MultiAgentLSTM])


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.fixture
def x():
    return torch.randn(1, T, A, F, requires_grad=True)


@pytest.fixture
def is_init():
    return (torch.arange(T) == START).view(1, T, 1)


def stored(core):
    """A state for each step."""
    return tuple(torch.randn(1, T, A, H) for _ in range(core.n_states))


def first(states, step=0):
    return tuple(state[:, step] for state in states)


@CORES
@pytest.mark.parametrize("learning", [True, False], ids=["fused", "plain"])
class TestReset:
    def test_a_state_does_not_cross_a_reset(self, core, learning, x, is_init):
        module = core(F, H, A)
        with torch.set_grad_enabled(learning):
            whole = module.states(x, first(stored(core)), is_init)[0]
            alone = module.states(x[:, START:])[0]
        torch.testing.assert_close(whole[:, START:], alone)

    def test_a_piece_starts_from_the_state_stored_for_it(self, core, learning, x, is_init):
        module, states = core(F, H, A), stored(core)
        with torch.set_grad_enabled(learning):
            whole = module.states(x, states, is_init)[0]
            alone = module.states(x[:, START:], first(states, START))[0]
        torch.testing.assert_close(whole[:, START:], alone)

    def test_without_a_reset_the_state_is_carried_over(self, core, learning, x, is_init):
        module, states = core(F, H, A), stored(core)
        with torch.set_grad_enabled(learning):
            whole = module.states(x, states, torch.zeros_like(is_init))[0]
            alone = module.states(x, first(states))[0]
            last = module.states(x[:, -1:])[0]
        torch.testing.assert_close(whole, alone)
        assert not torch.isclose(whole[:, -1:], last).any()


@CORES
def test_a_gradient_does_not_cross_a_reset(core, x, is_init):
    core(F, H, A).states(x, None, is_init)[0][:, START:].sum().backward()
    reached = (x.grad != 0).any(-1).any(-1).flatten().tolist()
    assert reached == [False, False, True, True]


@CORES
def test_a_gradient_flows_through_time(core, x):
    core(F, H, A).states(x)[0][:, -1].sum().backward()
    assert (x.grad != 0).all()


def test_a_first_step_starts_from_zero_whatever_state_is_read():
    drqn = DRQN(F, N_ACTIONS, A, hidden_size=H, core="gru", share_params=True)
    step = {
        "observation": torch.randn(1, A, F),
        "previous_action": torch.full((1, A), N_ACTIONS),
        "recurrent_state": torch.randn(1, A, H),
    }
    data = TensorDict({"agents": step, "is_init": torch.ones(1, 1, dtype=torch.bool)}, [1])
    value = RecurrentDRQN(drqn)(data.clone())["agents", "action_value"]
    data["agents", "recurrent_state"].zero_()
    assert torch.equal(RecurrentDRQN(drqn)(data)["agents", "action_value"], value)


def test_no_previous_action_adds_nothing():
    drqn = DRQN(F, N_ACTIONS, A, hidden_size=H, core="gru", share_params=True)
    observation, none = torch.randn(1, 1, A, F), torch.full((1, 1, A), N_ACTIONS)
    value, _ = drqn.unroll(observation, none)
    with torch.no_grad():
        drqn.action_embedding.zero_()
    assert torch.equal(drqn.unroll(observation, torch.zeros_like(none))[0], value)


def test_agents_with_one_network_are_told_apart_by_their_index():
    drqn = DRQN(F, N_ACTIONS, 2, hidden_size=H, share_params=True, agent_id=True)
    value = drqn(torch.ones(1, 2, 1, F), torch.zeros(1, 2, 1, dtype=torch.int64))
    assert not torch.isclose(value[:, 0], value[:, 1]).any()


def test_every_agent_looks_up_in_its_own_table():
    table = torch.tensor([[[10.0], [11.0]], [[20.0], [21.0]]])
    assert look_up(table, torch.tensor([[1], [0]])).flatten().tolist() == [11.0, 20.0]


class Agents(torch.nn.Module):
    def forward(self, x):
        return x

    @fast_path_of(forward)
    def chosen_value(self, x, action):
        return x.gather(-1, action.unsqueeze(-1))


class TestFastPath:
    """It is left out where something else than its ``forward`` would have run."""

    @staticmethod
    def is_taken(agents, wrapper=TensorDictModule):
        return fast_path(wrapper(agents, ["x"], ["value"]), ChosenValue) is not None

    def test_a_declared_one_is_taken(self):
        assert self.is_taken(Agents())

    def test_not_past_a_hook(self):
        agents = Agents()
        agents.register_forward_hook(lambda *_: None)
        assert not self.is_taken(agents)

    def test_not_of_a_subclass_with_another_forward(self):
        class Others(Agents):
            def forward(self, x):
                return 2 * x

        assert not self.is_taken(Others())

    def test_not_past_a_wrapper(self):
        class Wrapper(TensorDictModule):
            pass

        assert not self.is_taken(Agents(), Wrapper)

    def test_not_without_a_declaration(self):
        class Undeclared(torch.nn.Module):
            forward = Agents.forward

            def chosen_value(self, x, action):
                return x

        assert not self.is_taken(Undeclared())
