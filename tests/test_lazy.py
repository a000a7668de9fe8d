"""Packages import what they have when it is first used, and show it before."""

import importlib
import pickle
import subprocess
import sys
from pathlib import Path

import cloudpickle
import pytest

from tests.cpu_time import run_python
from torchrl_drigm import _lazy

LAZY = ("envs", "envs.libs", "evaluation", "trainers", "trainers.stack")


@pytest.mark.parametrize(
    ("package", "seconds"),
    [("torchrl_drigm", 1), ("torchrl_drigm.config", 1)]
    + [(f"torchrl_drigm.{name}", 2) for name in (*LAZY, "tasks", "commands.train")],
)
def test_importing_a_package_takes_little_and_prints_nothing(package, seconds, tmp_path):
    code = f"import sys, {package}; assert 'torch' not in sys.modules"
    done = run_python("-c", code, cwd=tmp_path)
    assert (done.code, done.out, done.err) == (0, "", "")
    assert done.seconds < seconds


@pytest.mark.parametrize("name", LAZY)
def test_what_a_package_has_is_what_it_tells_type_checkers(name):
    package = importlib.import_module(f"torchrl_drigm.{name}")
    homes = _lazy._homes(_lazy.ast.parse(Path(package.__file__).read_text()))
    assert set(homes) == set(package.__all__)
    assert set(package.__all__) <= set(dir(package))
    for attribute, home in homes.items():
        assert getattr(package, attribute) is getattr(importlib.import_module(home), attribute)


def test_a_task_is_found_however_little_was_imported(tmp_path):
    """Tasks make themselves known when they are imported."""
    code = """if True:
        import torchrl_drigm.tasks
        assert "BuildingTask" in dir(torchrl_drigm.tasks)
        from torchrl_drigm.tasks.base import find_task
        assert find_task("smax").__name__ == "SMAXTask"
        from torchrl_drigm.tasks import *
        assert BuildingTask.name == "building"
    """
    done = run_python("-c", code, cwd=tmp_path)
    assert done.code == 0, done.err


@pytest.mark.parametrize("package", ["torchrl_drigm.evaluation", "torchrl_drigm.tasks"])
def test_a_name_that_there_is_not(package):
    with pytest.raises(AttributeError, match=rf"module '{package}' has no attribute 'nothing'"):
        importlib.import_module(package).nothing  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'nothing'"):
        exec(f"from {package} import nothing", {})


@pytest.mark.parametrize("name", ["evaluation.evaluate", "trainers.build"])
def test_a_module_does_not_hide_the_function_of_its_name(name):
    package, _, function = f"torchrl_drigm.{name}".rpartition(".")
    code = f"""if True:
        import {package}.{function}  # the module, first
        from {package} import {function}
        import {package} as package
        assert callable({function}) and package.{function} is {function}
        from {package}.{function} import {function} as same
        assert same is {function}
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_modules_of_a_package_are_its_attributes():
    from torchrl_drigm import evaluation

    assert evaluation.plots.__name__ == "torchrl_drigm.evaluation.plots"


@pytest.mark.parametrize("name", LAZY)
def test_a_package_goes_to_another_process_by_its_name(name):
    """Sweeps hand functions over with what they refer to, packages among it."""
    module = importlib.import_module(f"torchrl_drigm.{name}")
    assert cloudpickle.loads(cloudpickle.dumps(module)) is module
    assert pickle.loads(pickle.dumps(module)) is module
