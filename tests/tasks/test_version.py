"""Results name the packages that their numbers depend on, and no others."""

import functools
from importlib import metadata

import pandas as pd
import pytest

from torchrl_drigm.evaluation import evaluate, report_returns
from torchrl_drigm.evaluation.report import evaluate_all
from torchrl_drigm.tasks import (
    BuildingTask,
    EVChargingTask,
    HarvestTask,
    SMACTask,
    SMAXTask,
    TorchRLTask,
)
from torchrl_drigm.tasks.version import environment_version

ALWAYS = ["torch", "torchrl", "numpy", "envs"]
VMAS = {"make": "torchrl.envs.VmasEnv", "kwargs": {"scenario": "balance"}}


def named(text):
    return [part.split()[0] for part in text.split(", ")]


@pytest.mark.parametrize(
    ("task", "packages"),
    [
        (BuildingTask(), ["sustaingym"]),
        (EVChargingTask(), ["sustaingym", "acnportal"]),
        (SMAXTask(), ["jaxmarl", "jax"]),
        (SMACTask(), ["smac", "pysc2"]),
        (HarvestTask(), []),
        (TorchRLTask(**VMAS), ["vmas"]),
        (TorchRLTask(make="torchrl_drigm.envs.NoisyVmasEnv"), ["vmas"]),
        (TorchRLTask(make="pandas:DataFrame"), ["pandas"]),
        (TorchRLTask(make=pd.DataFrame), ["pandas"]),
        (TorchRLTask(make=functools.partial(dict)), []),
        (TorchRLTask(make="tests.tasks.toys.Counting"), []),  # of no package
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_only_the_simulator_of_the_task_is_named(task, packages):
    installed = {name.lower() for dist in metadata.distributions() for name in [dist.name]}
    expected = [name for name in packages if name in installed]
    assert named(environment_version(task.packages)) == [*expected, *ALWAYS]


def test_versions_are_those_that_are_installed():
    said = dict(part.split() for part in environment_version().split(", "))
    assert said["numpy"] == metadata.version("numpy")
    assert len(said["envs"]) == 8 and int(said["envs"], 16) >= 0


def test_the_file_of_an_evaluation_names_them(tmp_path):
    task = HarvestTask()

    def first(td):
        return td.set(("agents", "action"), td["agents", "observation"][..., 0].long() * 0)

    policies = {"a": first, "b": first}
    results = evaluate_all(policies, task, [{"name": "nominal"}], episodes=1)
    report_returns(results, tmp_path, "a")
    rows = pd.read_csv(tmp_path / "evaluation.csv")
    assert [named(text) for text in rows["environment"].unique()] == [ALWAYS]
    one = evaluate(first, task, [{"name": "nominal"}], episodes=1)
    assert one.attrs["environment"] == rows["environment"].iloc[0]
