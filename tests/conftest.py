"""One thread for all tests; docstring examples of a missing simulator are skipped."""

import gc
import importlib.util
import os
import sys
import tempfile

import pytest
import torch

from tests.fresh_python import ForkServer, FreshPython

# Networks of test size gain nothing from threads, and two beside another busy process lose much.
torch.set_num_threads(1)
# As `prepare` has it, of which there is one for all tests of a process.
torch.set_flush_denormal(True)

# What JAX compiles runs for a second at most, and takes ten to compile as well as it can; at
# level 0 a step of ours and one of JaxMARL by itself differ in their last bits.
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
    """What all processes of a run share: xdist's have the environment of the first."""
    if hasattr(config, "workerinput"):
        return
    folder, environment = tempfile.TemporaryDirectory(), pytest.MonkeyPatch()
    config.add_cleanup(folder.cleanup)
    config.add_cleanup(environment.undo)
    if sys.platform == "linux":
        socket = f"{folder.name}/fork_server"
        config.add_cleanup(ForkServer(socket).close)
        environment.setenv("TEST_FORK_SERVER", socket)
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        environment.setenv("JAX_COMPILATION_CACHE_DIR", f"{folder.name}/jax")
        environment.setenv("JAX_COMPILATION_CACHE_MAX_SIZE", "1_000_000_000")  # or it has no lock
        environment.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.5")


def pytest_collection_finish():
    """What has been imported stays: looking for garbage there takes a twentieth of all time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def python():
    """Runs Python in a process of its own, with less to import."""
    return FreshPython(os.environ.get("TEST_FORK_SERVER"))


def pytest_collection_modifyitems(items):
    for item in items:
        if not isinstance(item, pytest.DoctestItem):
            continue
        for module, (package, extra) in DOCTESTS.items():
            if item.name.startswith(module) and importlib.util.find_spec(package) is None:
                reason = f'needs {package}: pip install "torchrl_drigm[{extra}]"'
                item.add_marker(pytest.mark.skip(reason=reason))
