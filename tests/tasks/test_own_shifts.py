"""Shifts of an environment of one's own in which no team can play, refused before it is trained."""

import pytest
import torch

from tests.tasks.toys import Counting
from torchrl_drigm._users import UsersError
from torchrl_drigm.config import compose_config
from torchrl_drigm.tasks import TorchRLTask
from torchrl_drigm.trainers.parts import check_parts


class Growing(Counting):
    """As Counting, with as many observations as asked for, which it refuses above 6."""

    def __init__(self, length=3, seen=4, device=None):
        super().__init__(length, device=device)
        self.seen = seen
        if seen > 6:
            raise ValueError(f"seen={seen} is too much")
        spec = self.observation_spec["agents", "observation"]
        self.observation_spec["agents", "observation"] = type(spec)((2, seen))

    def _seen(self, done, **more):
        found = super()._seen(done, **more)
        found["agents", "observation"] = torch.zeros(2, self.seen)
        return found


def check(**shift):
    TorchRLTask(make=Growing).check_shifts("mine", [{"name": "far", **shift}])


def test_one_that_can_be_played_is_let_pass():
    check(length=9, axis="length", level=9)


def test_one_of_another_size_is_named_with_both():
    message = (
        r"suite 'mine': shift 'far' has observations \(2, 5\), and training \(2, 4\): .*'seen'"
    )
    with pytest.raises(ValueError, match=message):
        check(seen=5)


def test_what_refuses_it_is_told_with_the_shift_and_the_lines():
    with pytest.raises(
        UsersError, match=r"suite 'mine': shift 'far': .* seen=7 is too much"
    ) as told:
        check(seen=7)
    assert "test_own_shifts.py" in told.value.trace


def test_a_default_that_a_shift_writes_out_is_as_in_training():
    task = TorchRLTask(make=Growing, kwargs={"seen": 5})
    shifts = [{"length": 3}, {"length": 4}, {"seen": 5}, {"seen": 4}, {"length": 3, "seen": 5}, {}]
    found = [task.trained_in({"name": "a", "level": 1, **shift}) for shift in shifts]
    assert found == [True, False, True, False, True, True]


def own(*overrides):
    names = ("env=custom", f"env.make={__name__}:Growing", "preset=toy", "agent=drqn")
    return check_parts(compose_config(*names, *overrides, config="torchrl"))


def test_before_anything_is_trained():
    assert own("evaluation.suite=[{name: near, length: 5}]").name == "torchrl"
    with pytest.raises(ValueError, match="shift 'far' has observations"):
        own("evaluation.suite=[{name: far, seen: 5}]")


@pytest.mark.parametrize("field", ["loc", "scale"])
def test_numbers_of_features_that_there_are_not(field):
    with pytest.raises(ValueError, match=rf"env\.{field}=\[.*\] has 3 numbers, .* 4 features"):
        own(f"env.{field}=[1,2,3]")
    assert own(f"env.{field}=[1,2,3,4]").name == "torchrl"
