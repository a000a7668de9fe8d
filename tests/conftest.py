"""One thread for all tests; docstring examples of a missing simulator are skipped."""

import importlib.util

import pytest
import torch

# Networks of test size gain nothing from threads, and two beside another busy process lose much.
torch.set_num_threads(1)

DOCTESTS = {
    "torchrl_drigm.envs.libs": "sustaingym",
    "torchrl_drigm.evaluation": "sustaingym",
    "torchrl_drigm.envs.transforms.group": "sustaingym",
    "torchrl_drigm.envs.transforms.history": "vmas",
}


def pytest_collection_modifyitems(items):
    for item in items:
        if not isinstance(item, pytest.DoctestItem):
            continue
        for package, simulator in DOCTESTS.items():
            if item.name.startswith(package) and importlib.util.find_spec(simulator) is None:
                reason = f'needs {simulator}: pip install "torchrl_drigm[{simulator}]"'
                item.add_marker(pytest.mark.skip(reason=reason))
