"""The package imports where no simulator is installed."""

import subprocess
import sys

CODE = """
import importlib, pkgutil, sys, warnings
missing = "sustaingym pvlib acnportal vmas jaxmarl jax smac pysc2 pettingzoo"
for name in missing.split():
    sys.modules[name] = None  # importing it raises ImportError
import torchrl_drigm
for module in pkgutil.walk_packages(torchrl_drigm.__path__, "torchrl_drigm."):
    importlib.import_module(module.name)
from torchrl_drigm.objectives import RobustQMixerLoss
print(torchrl_drigm.__version__)
"""


def test_imports_without_simulators(python, tmp_path):
    done = python("-c", CODE, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_importing_prints_nothing_and_loads_no_statistics_of_scipy():
    """These alone take a second."""
    code = """if True:
        import sys, torchrl_drigm.objectives, torchrl_drigm.commands._stacks
        from torchrl_drigm.evaluation import *
        from torchrl_drigm.trainers import *
        assert not [name for name in sys.modules if name.startswith("scipy.")]
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
