"""Actions that fail: how often, for how long, and who sees what."""

import io

import pytest
import torch
from torchrl.data import OneHot
from torchrl.envs import Compose, TransformedEnv, check_env_specs

from tests.envs._echo import ACTION, Echo, play
from torchrl_drigm.envs.transforms import ActionFailure, HistoryWindow, PreviousAction


@pytest.mark.parametrize(("rate", "severity"), [(0.0, 1.0), (0.5, 0.0)])
def test_what_never_fails_changes_nothing(rate, severity):
    env = TransformedEnv(Echo(50), ActionFailure(rate, fallback=3, severity=severity, seed=0))
    given, _ = play(env, [1, 2])
    assert given[0].eq(1).all() and given[1].eq(2).all()


@pytest.mark.parametrize("severity", [1.0, 4.0])
def test_each_agent_fails_on_its_own_as_often_as_the_rate_says(severity):
    failure = ActionFailure(0.1, fallback=3, severity=severity, seed=0)
    given, _ = play(TransformedEnv(Echo(20_000), failure), [1])
    failed = given[0] == 3
    expected, bound = 0.1 * severity, 4 * (0.25 / 20_000) ** 0.5
    assert (failed.float().mean(0) - expected).abs().max() < bound
    assert failed.all(-1).float().mean() == pytest.approx(expected**2, abs=bound)


def test_a_failure_lasts_its_steps():
    failure = ActionFailure(1.0, fallback=3, steps=3, seed=0)
    env = TransformedEnv(Echo(), failure)
    _, td = play(env, [1])
    failure.probability = 0.0
    given, _ = play(env, [1, 1, 1], td)
    assert given[:, 0, 0].tolist() == [3, 3, 1]


def test_a_reset_ends_the_failures_of_its_copies_alone():
    failure = ActionFailure(1.0, fallback=3, steps=3, seed=0)
    env = TransformedEnv(Echo(2), failure)
    _, td = play(env, [1])
    failure.probability = 0.0
    td["_reset"] = torch.tensor([[True], [False]])
    given, _ = play(env, [1], env.reset(td))
    assert given[0].tolist() == [[1, 1], [3, 3]]


def test_data_and_memories_keep_what_was_chosen():
    """As the replay buffer rebuilds memories from the actions in the data."""
    failure = ActionFailure(1.0, fallback=3, seed=0)
    env = TransformedEnv(Echo(), Compose(failure, PreviousAction(), HistoryWindow(2)))
    td = env.reset()
    td[ACTION] = torch.tensor([[1, 2]])
    td = env.step(td)
    assert td[ACTION].tolist() == [[1, 2]]
    assert td["next", "agents", "observation"][..., 0].tolist() == [[3, 3]]
    assert td["next", "agents", "previous_action"].tolist() == [[1, 2]]
    assert td["next", "agents", "history", "action"][..., -1].tolist() == [[1, 2]]


def test_a_fallback_that_is_not_available_leaves_the_action():
    env = TransformedEnv(Echo(masked=True), ActionFailure(1.0, fallback=3, seed=0))
    given, _ = play(env, [1])
    assert given[0].tolist() == [[3, 1]]


def test_failures_follow_from_their_seed_and_leave_the_global_generator():
    def played(seed):
        env = TransformedEnv(Echo(20), ActionFailure(0.3, fallback=3, steps=2, seed=seed))
        return play(env, [1] * 10)[0]

    before = torch.get_rng_state()
    first = played(1)
    assert torch.equal(played(1), first) and not torch.equal(played(2), first)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_state_dict_resumes_failures_exactly():
    def env(seed):
        return TransformedEnv(Echo(20), ActionFailure(0.2, fallback=3, steps=4, seed=seed))

    first = env(1)
    _, td = play(first, [1] * 5)
    stored = io.BytesIO()
    torch.save(first.state_dict(), stored)
    expected, _ = play(first, [1] * 10, td.clone())
    other = env(2)
    stored.seek(0)
    other.load_state_dict(torch.load(stored, weights_only=True))
    assert torch.equal(play(other, [1] * 10, td)[0], expected)


@pytest.mark.parametrize("masked", [False, True], ids=["all", "masked"])
def test_specs(masked):
    check_env_specs(TransformedEnv(Echo(3, masked), ActionFailure(0.5, fallback=1, seed=0)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rate": -0.1}, r"rate=-0.1 must be a probability, in \[0, 1\]"),
        ({"rate": 1.1}, "rate=1.1 must be a probability"),
        ({"rate": float("nan")}, "rate=nan must be a probability"),
        ({"severity": -1.0}, "severity=-1.0 must be a finite number of at least 0"),
        ({"severity": 6.0}, "severity=6.0 times rate=0.2 is 1.2.*no probability: lower one"),
        ({"fallback": -1}, "fallback=-1 must be an int of at least 0"),
        ({"fallback": True}, "fallback=True must be an int"),
        ({"steps": 0}, "steps=0 must be an int of at least 1"),
    ],
)
def test_what_is_no_failure_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        ActionFailure(**{"rate": 0.2, "fallback": 0, **arguments})


def test_a_fallback_beyond_the_actions_is_refused():
    with pytest.raises(ValueError, match="fallback=4 must be one of the 4 actions"):
        TransformedEnv(Echo(), ActionFailure(0.1, fallback=4)).action_spec  # noqa: B018


def test_actions_that_are_not_categorical_are_refused():
    env = Echo(action=OneHot)
    with pytest.raises(ValueError, match=r"expected a Categorical action .* received OneHot"):
        TransformedEnv(env, ActionFailure(0.1, fallback=0)).action_spec  # noqa: B018
