"""One thread for all tests; docstring examples of a missing simulator are skipped."""

import gc
import importlib.util
import os
import tempfile

import pytest
import torch

from tests.composed_once import composed_once  # noqa: F401 - a fixture of all tests
from tests.fresh_python import FreshPython

# Networks of test size gain nothing from threads, and two beside another busy process lose much.
torch.set_num_threads(1)

# What JAX compiles runs for a second at most, and takes ten to compile as well as it can.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=1")

# Docstring examples by module: the package they need, and the extra that installs it.
DOCTESTS = {
    "torchrl_drigm.envs.libs.sustaingym": ("sustaingym", "sustaingym"),
    "torchrl_drigm.envs.libs._sustaingym": ("sustaingym", "sustaingym"),
    "torchrl_drigm.envs.libs._building": ("sustaingym", "sustaingym"),
    "torchrl_drigm.envs.libs.evcharging": ("acnportal", "evcharging"),
    "torchrl_drigm.tasks.evcharging": ("acnportal", "evcharging"),
    "torchrl_drigm.envs.libs.smax": ("jaxmarl", "smax"),
    "torchrl_drigm.tasks.battles": ("jaxmarl", "smax"),
    "torchrl_drigm.tasks.building": ("sustaingym", "sustaingym"),
    "torchrl_drigm.tasks.references": ("sustaingym", "sustaingym"),
    "torchrl_drigm.trainers.build": ("sustaingym", "sustaingym"),
    "torchrl_drigm.envs.transforms.action": ("vmas", "vmas"),
    "torchrl_drigm.envs.transforms.previous_action": ("vmas", "vmas"),
    "torchrl_drigm.envs.transforms.stuck_action": ("vmas", "vmas"),
    "torchrl_drigm.envs.transforms.team": ("vmas", "vmas"),
    "torchrl_drigm.envs.libs._smax_wrapper": ("jaxmarl", "smax"),
    "torchrl_drigm.envs.transforms.group": ("sustaingym", "sustaingym"),
    "torchrl_drigm.envs.transforms.history": ("vmas", "vmas"),
    "torchrl_drigm.envs.transforms.observation_noise": ("jaxmarl", "smax"),
    "torchrl_drigm.evaluation": ("sustaingym", "sustaingym"),
}


def pytest_configure(config):
    """All processes of a run share what JAX compiles: xdist's have the environment of the first."""
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    folder, environment = tempfile.TemporaryDirectory(), pytest.MonkeyPatch()
    config.add_cleanup(folder.cleanup)
    config.add_cleanup(environment.undo)
    environment.setenv("JAX_COMPILATION_CACHE_DIR", folder.name)
    environment.setenv("JAX_COMPILATION_CACHE_MAX_SIZE", "1_000_000_000")  # or it has no lock
    environment.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.5")


def pytest_collection_finish():
    """What has been imported stays: looking for garbage there takes a twentieth of all time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def python():
    """Runs Python in a process of its own, with less to import."""
    python = FreshPython()
    yield python
    python.close()


def pytest_collection_modifyitems(items):
    for item in items:
        if not isinstance(item, pytest.DoctestItem):
            continue
        for module, (package, extra) in DOCTESTS.items():
            if item.name.startswith(module) and importlib.util.find_spec(package) is None:
                reason = f'needs {package}: pip install "torchrl_drigm[{extra}]"'
                item.add_marker(pytest.mark.skip(reason=reason))
