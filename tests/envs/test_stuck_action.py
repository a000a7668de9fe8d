"""Actuators that get stuck: how often, for how long, at what, and who sees what."""

import io

import pytest
import torch
from torchrl.envs import Compose, TransformedEnv, check_env_specs

from tests.envs._echo import ACTION, Echo, play
from torchrl_drigm.envs.transforms import PreviousAction, StuckAction


def test_it_stays_at_the_last_action_for_exactly_its_steps():
    stuck = StuckAction(1.0, steps=3, seed=0)
    env = TransformedEnv(Echo(), stuck)
    given, td = play(env, [1, 2])  # not in the first step, but in the second
    assert given[:, 0, 0].tolist() == [1, 1]
    stuck.rate = 0.0
    assert play(env, [3, 0, 2, 3], td)[0][:, 0, 0].tolist() == [1, 1, 2, 3]


def test_each_agent_gets_stuck_on_its_own_as_often_as_the_rate_says():
    given, _ = play(TransformedEnv(Echo(20_000), StuckAction(0.1, seed=0)), [1, 2])
    held, bound = given[1] == 1, 4 * (0.25 / 20_000) ** 0.5
    assert (held.float().mean(0) - 0.1).abs().max() < bound
    assert held.all(-1).float().mean() == pytest.approx(0.01, abs=bound)


def test_a_reset_frees_its_copies_alone():
    stuck = StuckAction(1.0, steps=5, seed=0)
    env = TransformedEnv(Echo(2), stuck)
    _, td = play(env, [1, 2])
    td["_reset"] = torch.tensor([[True], [False]])
    given, _ = play(env, [3], env.reset(td))  # a first step again
    assert given[0].tolist() == [[3, 3], [1, 1]]


def test_data_and_memories_keep_what_was_chosen():
    env = TransformedEnv(Echo(), Compose(StuckAction(1.0, seed=0), PreviousAction()))
    _, td = play(env, [1])
    td[ACTION] = torch.tensor([[2, 3]])
    td = env.step(td)
    assert td[ACTION].tolist() == [[2, 3]]
    assert td["next", "agents", "observation"][..., 0].tolist() == [[1, 1]]
    assert td["next", "agents", "previous_action"].tolist() == [[2, 3]]


def test_all_teams_have_the_same_failures():
    def held(actions, seed):
        env = TransformedEnv(Echo(20), StuckAction(0.3, steps=2, seed=seed))
        given, _ = play(env, actions)
        return given != torch.tensor(actions)[:, None, None]

    before = torch.get_rng_state()
    one = held([0, 1] * 5, seed=1)
    # what is held differs from what is chosen in the first of two steps; in the second it is equal
    assert one.any() and torch.equal(held([3, 2] * 5, seed=1), one)
    assert not torch.equal(held([0, 1] * 5, seed=2), one)
    assert torch.equal(torch.get_rng_state(), before)


def test_an_action_that_is_not_available_any_more_is_not_held():
    env = TransformedEnv(Echo(masked=True), StuckAction(1.0, seed=0))
    td = env.reset()
    td[ACTION] = torch.tensor([[3, 3]])
    given, _ = play(env, [1], env.step_mdp(env.step(td)))
    assert given[0].tolist() == [[3, 1]]


def test_a_state_dict_resumes_failures_exactly():
    first, other = (
        TransformedEnv(Echo(20), StuckAction(0.2, steps=4, seed=seed)) for seed in (1, 2)
    )
    _, td = play(first, [1, 2, 3, 0, 1])
    stored = io.BytesIO()
    torch.save(first.state_dict(), stored)
    expected, _ = play(first, [2, 3, 0, 1], td.clone())
    stored.seek(0)
    other.load_state_dict(torch.load(stored, weights_only=True))
    assert torch.equal(play(other, [2, 3, 0, 1], td)[0], expected)


@pytest.mark.parametrize("masked", [False, True], ids=["all", "masked"])
def test_specs(masked):
    check_env_specs(TransformedEnv(Echo(3, masked), StuckAction(0.5, seed=0)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rate": -0.1}, r"rate=-0.1 must be a probability, in \[0, 1\]"),
        ({"rate": "often"}, "rate='often' must be a probability"),
        ({"steps": 0}, "steps=0 must be an int of at least 1"),
    ],
)
def test_what_is_no_failure_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        StuckAction(**{"rate": 0.2, **arguments})
