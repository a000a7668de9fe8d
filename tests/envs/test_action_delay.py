"""Actions that arrive late: which one arrives when, and who sees what."""

import io

import pytest
import torch
from torchrl.data import OneHot
from torchrl.envs import Compose, TransformedEnv, check_env_specs

from tests.envs._echo import ACTION, Echo, play
from torchrl_drigm.envs.transforms import ActionDelay, PreviousAction


@pytest.mark.parametrize(
    ("steps", "given"), [(1, [3, 1, 2, 0, 2]), (2, [3, 3, 1, 2, 0]), (6, [3, 3, 3, 3, 3])]
)
def test_an_action_arrives_after_exactly_its_steps(steps, given):
    env = TransformedEnv(Echo(), ActionDelay(steps, idle=3))
    assert play(env, [1, 2, 0, 2, 1])[0][:, 0, 0].tolist() == given


def test_a_reset_forgets_what_its_copies_had_on_the_way():
    env = TransformedEnv(Echo(2), ActionDelay(2, idle=3))
    _, td = play(env, [1, 2])
    td["_reset"] = torch.tensor([[True], [False]])
    given, _ = play(env, [0, 0, 1], env.reset(td))
    assert given[:, 0, 0].tolist() == [3, 3, 0]
    assert given[:, 1, 0].tolist() == [1, 2, 0]


def test_data_and_memories_keep_what_was_chosen():
    env = TransformedEnv(Echo(), Compose(ActionDelay(1, idle=3), PreviousAction()))
    td = env.reset()
    td[ACTION] = torch.tensor([[1, 2]])
    td = env.step(td)
    assert td[ACTION].tolist() == [[1, 2]]
    assert td["next", "agents", "observation"][..., 0].tolist() == [[3, 3]]
    assert td["next", "agents", "previous_action"].tolist() == [[1, 2]]


def test_a_late_action_that_is_not_available_gives_way_to_the_chosen_one():
    env = TransformedEnv(Echo(masked=True), ActionDelay(1, idle=3))
    assert play(env, [1])[0][0].tolist() == [[3, 1]]


def test_a_state_dict_resumes_what_is_on_the_way():
    first, other = (TransformedEnv(Echo(2), ActionDelay(2, idle=3)) for _ in range(2))
    _, td = play(first, [1, 2])
    stored = io.BytesIO()
    torch.save(first.state_dict(), stored)
    stored.seek(0)
    other.load_state_dict(torch.load(stored, weights_only=True))
    assert play(other, [0, 0], td)[0][:, 0, 0].tolist() == [1, 2]


@pytest.mark.parametrize("masked", [False, True], ids=["all", "masked"])
def test_specs(masked):
    check_env_specs(TransformedEnv(Echo(3, masked), ActionDelay(2, idle=1)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"steps": 0}, "steps=0 must be an int of at least 1"),
        ({"steps": 1.5}, "steps=1.5 must be an int of at least 1"),
        ({"idle": -1}, "idle=-1 must be an int of at least 0"),
    ],
)
def test_what_is_no_delay_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        ActionDelay(**{"steps": 1, "idle": 0, **arguments})


def test_environments_without_such_an_action_are_refused():
    with pytest.raises(ValueError, match="idle=4 must be one of the 4 actions"):
        TransformedEnv(Echo(), ActionDelay(1, idle=4)).action_spec  # noqa: B018
    with pytest.raises(ValueError, match=r"ActionDelay: expected a Categorical .* received OneHot"):
        TransformedEnv(Echo(action=OneHot), ActionDelay(1, idle=0)).action_spec  # noqa: B018
