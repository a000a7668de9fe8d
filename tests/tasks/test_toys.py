"""Harvest, machines and drones as tasks and configs."""

import pytest
import torch

from torchrl_drigm.config import compose_config
from torchrl_drigm.evaluation import evaluate, exact_return, summarize
from torchrl_drigm.tasks import (
    DronesTask,
    HarvestTask,
    MachinesTask,
    ToyTask,
    make_task,
    read_suite,
)
from torchrl_drigm.trainers import build, load_team

TASKS = {"harvest": HarvestTask, "machines": MachinesTask, "drones": DronesTask}
GAMMA = {"harvest": 0.99, "machines": 0.9, "drones": 0.97}


def always(level):
    def policy(tensordict):
        action = torch.full((*tensordict.shape, 2), level)
        return tensordict.set(("agents", "action"), action)

    return policy


def toy(name, *overrides):
    overrides = (f"env={name}", "agent=drqn", "preset=toy", *overrides)
    return compose_config(*overrides, config="torchrl")


@pytest.mark.parametrize("name", TASKS)
def test_a_config_makes_its_task(name):
    cfg = toy(name)
    task = make_task(cfg)
    assert type(task) is TASKS[name] and task.severity == 1.0
    assert cfg.optim.gamma == task.model().gamma == GAMMA[name]
    assert task.max_steps == type(task).max_steps and task.num_envs == 128


@pytest.mark.parametrize("task", TASKS.values())
def test_no_shift_to_choose_by_is_one_to_report(task):
    suites = {name: [shift["severity"] for shift in suite] for name, suite in task.suites.items()}
    assert suites == {"severity": [1.0, 2.0, 4.0, 6.0], "validation": [3.0]}


@pytest.mark.parametrize("severity", [-1.0, 13.0, "much"])
def test_a_shift_to_no_severity_is_refused(severity):
    shift = {"name": "worse", "severity": severity}
    with pytest.raises(ValueError, match=r"shift 'worse': severity=.* must be a number in"):
        read_suite(MachinesTask(), [shift])


def test_tables_show_the_discounted_return():
    """It is what the exact value is about; the sum of rewards is beside it."""
    results = evaluate(always(1), HarvestTask(), "validation", episodes=4000)
    expected = exact_return(always(1), HarvestTask().model(3.0))
    shown = summarize(results).iloc[0]
    assert shown["measure"] == "discounted return"
    assert abs(shown["mean"] - expected) < 4 * shown["standard_error"]
    assert set(results["return"]) == {0.0, 24.0}


def test_the_cost_of_a_failure_is_an_option_of_machines():
    task = make_task(toy("machines", "env.cost_in_reward=true"))
    assert task.model().n_states == 16
    assert task.make_env(2, "train", 0, {}).reset()["state"].shape == (2, 16)


def test_training_and_tests_have_other_episodes():
    task = MachinesTask()
    seeds = [
        task.make_env(1, purpose, 0, {}).base_env._generators[0].initial_seed()
        for purpose in ("train", "test")
    ]
    assert seeds[0] != seeds[1]


def test_a_run_leaves_a_team_that_is_judged_exactly(tmp_path):
    small = ("collector.total_frames=256", "progress_bar=false", "collector.init_random_frames=128")
    run = build(toy("harvest", "mixer=vdn", "uncertainty=tv", *small), tmp_path)
    run.train()
    team = load_team(tmp_path)
    assert isinstance(team.task, ToyTask)
    exact = exact_return(team, team.task.model(3.0))
    assert exact == exact_return(run.team, run.task.model(3.0))
    results = evaluate(team, suite="validation", episodes=4000)["discounted_return"]
    assert abs(results.mean() - exact) < 4.5 * results.sem() + 1e-4


def test_a_run_goes_on_in_mid_episode(tmp_path):
    """Stopped after two batches and resumed, it is the run that was not stopped."""
    small = ("mixer=vdn", "uncertainty=none", "progress_bar=false", "env.num_envs=8")
    small += ("collector.frames_per_batch=32", "collector.init_random_frames=32")
    small += ("replay.batch_size=16", "exploration.annealing_frames=64")

    def trained(folder, frames, resume=None):
        torch.manual_seed(0)
        cfg = toy("machines", *small, f"collector.total_frames={frames}")
        run = build(cfg, tmp_path / folder, resume)
        run.train()
        return run

    whole = trained("whole", 128)
    trained("stopped", 64)
    resumed = trained("stopped", 128, tmp_path / "stopped" / "checkpoint")
    for key, value in whole.loss.state_dict().items():
        if torch.is_tensor(value):
            assert torch.equal(value, resumed.loss.state_dict()[key])
    assert (whole.env.base_env._where == resumed.env.base_env._where).all()
