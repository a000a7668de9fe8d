"""The previous action, in batched, serial and parallel environments and over partial resets."""

import pytest
import torch
from torchrl.data import MultiCategorical, OneHot
from torchrl.envs import SerialEnv, TransformedEnv, check_env_specs

from tests.envs.counting import N_ACTIONS, CountingEnv, parallel
from torchrl_drigm.envs.transforms import PreviousAction

ACTION, PREVIOUS = ("agents", "action"), ("agents", "previous_action")


def make(**kwargs):
    return TransformedEnv(CountingEnv(**kwargs), PreviousAction())


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def check(rollout):
    """Rollouts ``[B, T]`` with resets in between: rows end at different steps."""
    previous, action = rollout[PREVIOUS], rollout[ACTION]
    assert (previous[:, 0] == N_ACTIONS).all()
    ended = rollout["next", "done"][:, :-1]
    assert ended.any() and not ended.all()
    torch.testing.assert_close(previous[:, 1:], action[:, :-1].masked_fill(ended, N_ACTIONS))
    return rollout


@pytest.mark.parametrize("agent_dim", [False, True], ids=["flat", "with agents"])
def test_rows_that_end_start_without_a_previous_action(agent_dim):
    env = make(agent_dim=agent_dim)
    check_env_specs(env)
    rollout = check(env.rollout(20, break_when_any_done=False))
    torch.testing.assert_close(rollout["next", *PREVIOUS], rollout[ACTION])


@pytest.mark.parametrize("agent_dim", [False, True], ids=["flat", "with agents"])
def test_environments_that_reset_themselves(agent_dim):
    env = make(agent_dim=agent_dim, native_autoreset=True)
    env._torchrl_native_autoreset = True
    check(env.rollout(20, break_when_any_done=False))


def test_an_action_that_led_nowhere_is_no_action():
    """0 would be one: the spec has a class more than the actions."""
    spec = make().observation_spec[PREVIOUS]
    assert spec.n == N_ACTIONS + 1
    assert spec.dtype == torch.int64


@pytest.mark.parametrize("batched", [SerialEnv, parallel])
@pytest.mark.parametrize("inside", [False, True], ids=["outside", "inside"])
def test_inside_and_outside_of_batched_environments(batched, inside):
    def single():
        return make(batch=()) if inside else CountingEnv(batch=())

    env = batched(2, single)
    if not inside:
        env = TransformedEnv(env, PreviousAction())
    try:
        rollout = env.rollout(10, break_when_any_done=False)
    finally:
        env.close()
    check(rollout)


def test_the_next_action_in_the_same_memory_does_not_change_it():
    env = make()
    td = env.rand_step(env.reset())
    taken = td[ACTION].clone()
    td[ACTION].fill_(N_ACTIONS - 1)
    assert torch.equal(td["next", *PREVIOUS], taken)


@pytest.mark.parametrize(
    "action_spec", [OneHot(5, shape=(3, 2, 5)), MultiCategorical([5, 5], shape=(3, 2))]
)
def test_actions_that_are_not_categorical(action_spec):
    env = TransformedEnv(CountingEnv(action_spec=action_spec), PreviousAction())
    with pytest.raises(ValueError, match="Categorical action spec"):
        env.observation_spec  # noqa: B018


def test_a_stored_batch_has_no_order():
    with pytest.raises(NotImplementedError, match="replay buffer needs no transform"):
        PreviousAction()(make().rollout(3))
