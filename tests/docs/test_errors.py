"""The messages on the pages are those of the source, or of the case that is given here."""

import importlib.util
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.docs.messages import HOLE, holds, rows, templates
from torchrl_drigm.commands._refusals import refuse
from torchrl_drigm.config import compose_config
from torchrl_drigm.trainers import load_team


def refused(*overrides, config="building"):
    refuse(config, config, list(overrides), None, False)


def composed(*overrides, config="building"):
    return lambda: compose_config(*overrides, config=config)


def a_config_that_there_is_not():
    from torchrl_drigm.__main__ import main

    main(["choose", "bilding", "uncertainty.rho=0.1,0.2"])


def rewards_of_agents():
    from torchrl.objectives.value.functional import td0_return_estimate

    value, reward = torch.zeros(4, 1), torch.zeros(4, 3, 1)
    td0_return_estimate(0.9, value, reward, torch.zeros(4, 1, dtype=torch.bool))


def a_state_that_there_is_not():
    from tensordict import TensorDict

    TensorDict({"agents": {"observation": torch.zeros(2, 3)}}, [2])["state"]


def continuous_actions():
    from torchrl.data import Bounded

    return Bounded(-1, 1, (2,)).space.n


def prioritized_replay():
    from torchrl.data import PrioritizedSampler

    PrioritizedSampler(10, 0.6, 0.4)


def a_family_of_pettingzoo():
    pytest.importorskip("pettingzoo", reason="needs PettingZoo: pip install pettingzoo")
    from torchrl.envs import PettingZooEnv

    with warnings.catch_warnings(action="ignore"):  # of families that are not installed
        PettingZooEnv("no_family/no_task_v0", parallel=True)


def building():
    reason = 'needs sustaingym: pip install "torchrl_drigm[sustaingym]"'
    pytest.importorskip("sustaingym", reason=reason)
    from sustaingym.envs.building import MultiAgentBuildingEnv, ParameterGenerator

    return MultiAgentBuildingEnv(ParameterGenerator("OfficeSmall", "Hot_Dry", "Tucson"))


def agents_named_by_integers():
    env = building()
    from torchrl.envs import PettingZooWrapper

    PettingZooWrapper(env)


def a_newer_pvlib():
    building()
    import pvlib

    with pytest.MonkeyPatch.context() as patch:
        patch.delattr(pvlib.iotools, "parse_epw")
        building()


def a_newer_setuptools():
    if importlib.util.find_spec("pkg_resources") is not None:
        pytest.skip('setuptools before 82 still has it: pip install "setuptools>=82"')
    importlib.import_module("pkg_resources")


def a_solver_that_is_not_installed():
    cvxpy = pytest.importorskip("cvxpy", reason="needs CVXPY: pip install cvxpy")
    if importlib.util.find_spec("mosek") is not None:
        pytest.skip("MOSEK is installed, and this is without it: pip uninstall mosek")
    x = cvxpy.Variable()
    cvxpy.Problem(cvxpy.Minimize(x), [x >= 0]).solve(solver="MOSEK")


def source_of(module):
    """A case whose message is looked up, as raising it would take a network."""

    def read():
        if importlib.util.find_spec(module.partition(".")[0]) is None:
            pytest.skip(f"needs {module}: pip install {module.partition('.')[0]}")
        raise LookupError(Path(importlib.util.find_spec(module).origin).read_text())

    return read


PIP = "pip._internal.resolution.resolvelib.factory"
CASES = {
    "No matching distribution found for …": source_of(PIP),
    "ResolutionImpossible": source_of(PIP),
    "No module named 'torchrl_drigm'": lambda: importlib.import_module("torchrl_drigm_"),
    "Could not find 'hydra/launcher/joblib'": composed("hydra/launcher=joblib_"),
    "'…' is no config; there are: battles, building, torchrl": a_config_that_there_is_not,
    "Could not find 'mixer/…'": composed("mixer=qmx"),
    "Could not override '…'": composed("uncertainty=none", "uncertainty.rho=0.2"),
    "Key 'n_agents' is not in struct": composed("env.kwargs.n_agents=4", config="torchrl"),
    "Value '…' of type 'str' could not be converted to Float": composed("uncertainty.rho=big"),
    "missing EQUAL at '<EOF>'": composed("seed"),
    "no viable alternative at input": composed("seed=[0,1"),
    "evaluation.suite, of env.name=…: suite=… is unknown": lambda: refused("evaluation.suite=foo"),
    "resume=…: no checkpoint at …": lambda: refused("resume=/nowhere"),
    "no config.yaml in …: name the folder of a run": lambda: load_team("/nowhere"),
    "All input tensors (value, reward and done states) must share a unique shape.": (
        rewards_of_agents
    ),
    'key "state" not found in TensorDict': a_state_that_there_is_not,
    "'ContinuousBox' object has no attribute 'n'": continuous_actions,
    "GRU: Expected input to be 2D or 3D, got 4D instead": (
        lambda: torch.nn.GRU(5, 8)(torch.randn(4, 3, 2, 5))
    ),
    "SumSegmentTreeFp32 is not available": prioritized_replay,
    "Specified task not in available environments": a_family_of_pettingzoo,
    "'int' object has no attribute 'split'": agents_named_by_integers,
    "module 'pvlib.iotools' has no attribute 'parse_epw'": a_newer_pvlib,
    "No module named 'pkg_resources'": a_newer_setuptools,
    "only 0-dimensional arrays can be converted to Python scalars": lambda: float(np.ones(1)),
    "The solver MOSEK is not installed.": a_solver_that_is_not_installed,
}
# What a case says otherwise than the page, since the name would be there.
SAID = {
    "No module named 'torchrl_drigm'": "No module named 'torchrl_drigm_'",
    "Could not find 'hydra/launcher/joblib'": "Could not find 'hydra/launcher/joblib_'",
}
# Of StarCraft's table: pysc2's, by where they are, and those of Python, protobuf and the game.
PYSC2 = {
    "No SC2 Versions found in": "run_configs/platforms.py",
    "not found in": "run_configs/lib.py",
    "Failed to launch:": "lib/sc_process.py",
    "Trying to run '": "lib/sc_process.py",
    "', but it isn't executable.": "lib/sc_process.py",
    "Unknown game version:": "run_configs/lib.py",
    ". Known versions:": "run_configs/lib.py",
    "Failed to connect to the SC2 websocket. Is it up?": "lib/remote_controller.py",
}
OTHERS = (
    *("No module named '", "Descriptors cannot be created", "No such file or directory: '"),
    *("/Versions'", "/SC2_x64", 'RequestError("SC2APIProtocol.', '("info", "connection_lost")'),
    "Cannot close a process while it is still running",
)


@pytest.mark.parametrize("message", rows("errors.md"))
def test_a_message_of_the_index_occurs(message):
    if message not in CASES:
        assert len(message.replace(HOLE, "").strip()) > 9, "too little to tell it from others"
        assert any(holds(message, template) for template in templates())
        return
    with pytest.raises((Exception, SystemExit)) as raised:
        CASES[message]()
    told = f"{raised.value} {raised.value.__cause__}"
    assert holds(SAID.get(message, message), told), told


def test_every_case_is_in_the_index():
    assert set(CASES) <= set(rows("errors.md"))
    assert len(rows("errors.md")) == len(set(rows("errors.md"))), "each message once"


def test_a_message_that_no_source_has_is_found():
    assert not any(holds("no team rewards under ('next', …)", text) for text in templates())
    assert not holds("first … second", "second first")


@pytest.mark.parametrize("message", rows("starcraft.md", after="## Troubleshooting"))
def test_a_message_of_starcraft_is_ours_or_a_library_s(message):
    pieces = re.split(rf"{HOLE}|(?<= says: )|ConnectError\('|'\)", message)
    for piece in filter(None, map(str.strip, pieces)):
        if piece in PYSC2:
            if (found := importlib.util.find_spec("pysc2")) is not None:
                assert piece in (Path(found.origin).parent / PYSC2[piece]).read_text()
        elif not piece.startswith(OTHERS):
            assert any(piece in template for template in templates()), piece
