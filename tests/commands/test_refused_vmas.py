"""Arguments that no scenario of VMAS takes, which it passes over, are refused before PyTorch."""

import re

import pytest

pytest.importorskip("vmas", reason='needs vmas: pip install "torchrl_drigm[vmas]"')

from tests.commands.test_refusals import refused
from torchrl_drigm import _installed, _vmas
from torchrl_drigm.tasks import find_task, read_suite


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["+env.kwargs.n_agent=3"],
            r"^env\.kwargs: the scenario 'navigation' takes no 'n_agent': ",
        ),
        (
            ["evaluation.suite=[{name: a, lidar: 1}]"],
            r"shift 'a': the scenario 'navigation' takes no 'lidar': it knows n_agents, collisions",
        ),
        (
            ["env.kwargs.continuous_actions=true"],
            r"^env\.kwargs\.continuous_actions=true: value fac",
        ),
        (["~env.kwargs.continuous_actions"], r"Set env\.kwargs\.continuous_actions=false\.$"),
        (["+env.kwargs.actuator_noise=1"], "takes no 'actuator_noise'"),
        (["env=vmas_noise", "+env.kwargs.noise=1"], "takes no 'noise'"),
    ],
)
def test_what_a_scenario_of_vmas_does_not_take(overrides, message):
    with pytest.raises(ValueError, match=message):
        refused(*overrides, config="torchrl")


@pytest.mark.parametrize(
    "overrides",
    [
        ["+env.kwargs.n_agents=3", "+env.kwargs.group_map={agents: [agent_0]}"],
        ["env=vmas_noise", "evaluation.suite=[{name: a, severity: 2, lidar_range: 0.1}]"],
        ["evaluation.suite=[{name: a, scenario: balance, package_mass: 3}]"],
        ["env.action_failure={rate: 0.1, fallback: 0}", "evaluation.suite=severity"],
    ],
)
def test_what_a_scenario_of_vmas_takes(overrides):
    assert len(refused(*overrides, config="torchrl")) == 1


@pytest.mark.parametrize("scenario", _installed.scenarios() or ["none"])
def test_every_scenario_of_vmas_takes_what_is_read_off_its_file(scenario):
    known = _vmas._arguments(scenario)
    assert known is not None
    text = re.sub("#.*", "", _installed.scenario_file(scenario).read_text())
    assert set(known) == set(re.findall(r'kwargs\.(?:pop|get)\(\s*"(\w+)"', text))


class TestInPython:
    """A task is made without a command line."""

    def task(self, **kwargs):
        kwargs = {"scenario": "balance", "continuous_actions": False, **kwargs}
        return find_task("torchrl")(make="torchrl.envs.VmasEnv", kwargs=kwargs)

    def test_an_argument(self):
        with pytest.raises(ValueError, match=r"VmasEnv': the scenario 'balance' takes no 'mass': "):
            self.task(mass=3).train_env(0)

    def test_a_shift(self):
        with pytest.raises(
            ValueError, match=r"shift 'a': .* takes no 'mass': it knows n_agents, pac"
        ):
            read_suite(self.task(), [{"name": "a", "mass": 3}])
        read_suite(self.task(), [{"name": "a", "package_mass": 3, "axis": "mass", "level": 3}])

    def test_what_is_not_known_is_let_pass(self, monkeypatch):
        monkeypatch.setattr(_installed, "scenario_file", lambda scenario: None)
        assert _vmas.unknown_argument("VmasEnv", "of my own", ["mass"]) is None
        assert _vmas.unknown_argument("VmasEnv", object(), ["mass"]) is None
