"""Charging stations as a task: what it knows of shifts, what is refused, what a run learns."""

import pytest
import torch

from torchrl_drigm import trainers
from torchrl_drigm.config import check_config, compose_config
from torchrl_drigm.config.names import check_names
from torchrl_drigm.evaluation import evaluate
from torchrl_drigm.tasks import EVChargingTask, make_task, read_suite, refuse_test_shifts

NEEDS = 'needs acnportal: pip install "torchrl_drigm[evcharging]"'

SMALL = [
    "env=evcharging",
    "agent=drqn",
    "preset=fast",
    "env.num_envs=4",
    "agent.hidden_size=8",
    "replay.batch_size=16",
    "replay.size=500",
    "collector.frames_per_batch=16",
    "collector.total_frames=320",
    "collector.init_random_frames=32",
    "evaluation.episodes=2",
    "evaluation.suite=site",
    "progress_bar=false",
]


def config(*overrides):
    return compose_config(*SMALL, *overrides, config="torchrl")


def test_suites_begin_with_what_was_trained_in():
    task = make_task(config())
    assert list(task.suites) == ["period", "site", "validation"]
    for suite in ("period", "site"):
        _, shifts = read_suite(task, suite)
        trained = {"site": "caltech", "period": "Summer 2019", "days": (0, 92)}
        assert task.contents(shifts[0]) == task.contents({}) == trained
        assert len(shifts) == {"period": 4, "site": 5}[suite]


def test_all_garages_of_training_count_as_trained_in():
    task = EVChargingTask(
        garages=[("caltech", "Summer 2019"), ("jpl", "Summer 2019")], days=(0, 60)
    )
    inside = {"name": "a", "site": "jpl", "days": (10, 40)}
    assert task.trained_in(inside)
    assert not task.trained_in(inside | {"days": (10, 61)})
    assert not task.trained_in(inside | {"period": "Fall 2019"})


def test_what_is_chosen_in_is_not_tested_in():
    task = EVChargingTask()
    refuse_test_shifts(task, "validation", task.suites["validation"], {})
    with pytest.raises(
        ValueError, match="shift 'mine' is 'JPL fall 2019' of the test suite 'site'"
    ):
        mine = {"name": "mine", "site": "jpl", "period": "Fall 2019", "days": [0, 122]}
        refuse_test_shifts(task, "own", [mine], {})


@pytest.mark.parametrize(
    ("shift", "message"),
    [
        ({"site": "office001"}, "'office001' is unknown; valid are the sites caltech, jpl"),
        ({"period": "2019"}, "'2019' is unknown; .* Summer 2019, Fall 2019"),
        ({"period": "Spring 2020", "days": [0, 122]}, r"days=\[0, 122\] must be .* hi <= 121"),
        ({"climate": 3}, r"has \['climate'\], which the task 'evcharging' does not know"),
    ],
)
def test_shifts_that_there_are_not(shift, message):
    with pytest.raises(ValueError, match=message):
        read_suite(EVChargingTask(), [{"name": "wrong", **shift}])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("env.garages=[[caltech,Winter 2019]]", "env.garages: 'Winter 2019' is unknown; valid"),
        ("env.days=[0,200]", r"env.days=\[0, 200\] must be .* hi <= 123, .* Summer 2019"),
        ("env.n_action_levels=1", "env.n_action_levels=1 must be at least 2"),
    ],
)
def test_configs_that_no_run_can_be_made_of(override, message, monkeypatch):
    monkeypatch.setattr("torchrl_drigm.config.packages._is_there", lambda name: True)
    with pytest.raises(ValueError, match=message):
        cfg = config(override)
        check_config(cfg)
        check_names(cfg)


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setattr("torchrl_drigm.config.packages._is_there", lambda name: False)
    with pytest.raises(ValueError, match=r'pip install "torchrl_drigm\[evcharging\]" installs it'):
        check_names(config())


def test_scales_are_one_number_for_each_feature():
    with pytest.raises(
        ValueError, match=r"env.scale=\[1, 2\] must have .* each of the 16 features"
    ):
        EVChargingTask(scale=[1, 2], moer_forecast_steps=12)


@pytest.mark.evcharging
@pytest.mark.parametrize("mixer", ["vdn", "qmix"])
def test_a_run_learns_and_is_judged_at_both_sites(tmp_path, mixer):
    pytest.importorskip("acnportal", reason=NEEDS)
    run = trainers.build(config(f"mixer={mixer}", "uncertainty=tv"), tmp_path)
    before = [p.clone() for p in run.trainer.loss_module.parameters()]
    run.trainer.train()
    assert any(
        not torch.equal(old, new)
        for old, new in zip(before, run.trainer.loss_module.parameters(), strict=True)
    )
    results = evaluate(run.team, run.task, "site", episodes=2)
    assert results["shift"].nunique() == 5 and len(results) == 10
    assert set(results["site"]) == {"caltech", "jpl"}


@pytest.mark.evcharging
def test_charging_at_once_earns_what_it_should():
    """Everybody is charged, and more are at JPL."""
    pytest.importorskip("acnportal", reason=NEEDS)
    task = EVChargingTask()
    results = evaluate(task.references["charge at once"](), task, "site", episodes=20)
    earned = results.groupby("shift")["return"].mean()
    assert 5 < earned["Caltech summer 2019"] < 10 and earned["JPL summer 2019"] > 15
    assert earned["JPL spring 2020"] < 0.7 * earned["JPL fall 2019"]
