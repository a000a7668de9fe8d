"""Calls in processes side by side."""

import os
import time
from functools import partial
from multiprocessing import active_children

import pytest

from torchrl_drigm.commands._processes import one_by_one


@pytest.mark.parametrize("jobs", [1, 2])
def test_every_call_is_made_once(jobs):
    calls = [(number, partial(pow, number, 2)) for number in range(4)]
    assert sorted(one_by_one(calls, jobs)) == [(number, number**2) for number in range(4)]


def test_one_that_fails_ends_the_others():
    calls = [("long", partial(time.sleep, 600)), ("wrong", partial(int, "x"))]
    before, start = set(active_children()), time.monotonic()
    with pytest.raises(ValueError, match="invalid literal"):
        list(one_by_one(calls, 2))
    assert set(active_children()) <= before
    assert time.monotonic() - start < 300, "it did not wait for the other one"


def test_one_that_is_ended_from_outside_is_told_in_words():
    calls = [("memory", partial(os._exit, 137)), ("long", partial(time.sleep, 600))]
    with pytest.raises(ValueError, match=r"memory, long was ended from outside.*--jobs"):
        list(one_by_one(calls, 2))
