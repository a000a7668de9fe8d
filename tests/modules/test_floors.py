"""Kernels lie below layers, and layers below networks: nothing imports from a floor above."""

import ast
from pathlib import Path

import pytest

import torchrl_drigm.modules

ROOT = Path(torchrl_drigm.modules.__file__).parent
NAME = "torchrl_drigm.modules"
FLOORS = (
    {"_kernels"},
    {"models._agent_linear", "models._multiagent_rnn", "models.multiagent_rnn"}
    | {"models.joint_action", "models._checks", "models._scaling", "models._feed_forward"}
    | {"models._levels"},
    {"models.drqn", "models._drqn_inputs", "models.recurrent_drqn", "models.qtran"}
    | {"models.dual", "models.reward_model", "models.stacked", "models.qmix"}
    | {"_fast_path", "_calls"},
)


def floor_of(module):
    return next(n for n, floor in enumerate(FLOORS) if {module, module.split(".")[0]} & floor)


FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path
    for path in ROOT.rglob("*.py")
    if path.name != "__init__.py"
}


@pytest.mark.parametrize("module", FILES)
def test_imports_from_its_own_floor_or_below(module):
    for node in ast.walk(ast.parse(FILES[module].read_text())):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("torchrl_drigm"):
            assert node.module.startswith(NAME + "."), "nothing of the rest of the package"
            assert floor_of(node.module.removeprefix(NAME + ".")) <= floor_of(module)
