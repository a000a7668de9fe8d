"""Where a shift stands on an axis: known to every task, shown by results, and without effect."""

import numpy as np
import pytest

from tests.tasks.toys import Counting, RandomTeam
from torchrl_drigm.evaluation import evaluate
from torchrl_drigm.tasks import (
    BuildingTask,
    HarvestTask,
    SMACTask,
    SMAXTask,
    TorchRLTask,
    read_suite,
    refuse_test_shifts,
    shifts_along,
)

MARKS = {"axis": "length (steps)", "level": 2}
TASKS = [BuildingTask(), SMAXTask(), SMACTask(), HarvestTask(), TorchRLTask(make=Counting)]


def test_levels_become_shifts():
    assert shifts_along("noise (°C)", "noise", [0.0, 0.5]) == [
        {"name": "noise 0", "noise": 0.0, "axis": "noise (°C)", "level": 0.0},
        {"name": "noise 0.5", "noise": 0.5, "axis": "noise (°C)", "level": 0.5},
    ]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_every_task_knows_them_and_they_are_no_contents(task):
    assert read_suite(task, [{"name": "a", **MARKS}])[1] == [{"name": "a", **MARKS}]
    assert task.contents({"name": "a", **MARKS}) == task.contents({"name": "b"})


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_a_test_shift_with_them_is_the_same_one(task):
    suite, (test, *_) = read_suite(task)
    with pytest.raises(ValueError, match=f"'mine' is '{test['name']}' of the test suite '{suite}'"):
        refuse_test_shifts(task, "own", [{**test, "name": "mine", **MARKS}], {})


def test_they_are_columns_of_the_results_and_change_no_episode():
    task = TorchRLTask(make=Counting)
    suite = [{"name": "as trained"}, *shifts_along("length (steps)", "length", [1, 5])]
    results = evaluate(RandomTeam(), task, suite, episodes=2)
    assert list(results)[:4] == ["suite", "shift", "axis", "level"]
    assert results["axis"].isna().tolist() == [True] * 2 + [False] * 4
    assert results["axis"].dropna().unique().tolist() == ["length (steps)"]
    np.testing.assert_array_equal(results["level"], [np.nan, np.nan, 1, 1, 5, 5])
    assert results["steps"].tolist()[2:] == [1, 1, 5, 5]


def test_a_suite_without_them_has_no_such_columns():
    assert not {"axis", "level"} & set(evaluate(RandomTeam(), TorchRLTask(make=Counting)))


@pytest.mark.parametrize(
    ("marks", "message"),
    [
        ({"axis": "a"}, "it has 'axis' alone: axis and level stand together"),
        ({"level": 1.0}, "it has 'level' alone"),
        ({"axis": 3, "level": 1.0}, "axis=3 must be what the axis is called"),
        ({"axis": "", "level": 1.0}, "axis='' must be"),
        ({"axis": "a", "level": "high"}, "level='high' must be a finite number"),
        ({"axis": "a", "level": None}, "level=None must be a finite number"),
        ({"axis": "a", "level": True}, "level=True must be a finite number"),
        ({"axis": "a", "level": float("nan")}, "level=nan must be a finite number"),
    ],
)
@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_what_is_no_place_on_an_axis_is_refused(task, marks, message):
    with pytest.raises(ValueError, match=f"suite 'own': shift 'odd': {message}"):
        read_suite(task, [{"name": "odd", **marks}])
