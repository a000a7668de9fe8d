"""Tasks by name and by import path, and what a config makes of them."""

import sys
import textwrap

import pytest
import torch
from omegaconf import OmegaConf

from tests.tasks.toys import Counting, RandomTeam
from torchrl_drigm.config import compose_config
from torchrl_drigm.evaluation import evaluate, evaluate_all, summarize
from torchrl_drigm.tasks import BuildingTask, SMACTask, SMAXTask, Task, find_task, make_task

OWN = """
from torchrl_drigm.tasks import Task

class Own(Task):
    def __init__(self, size, **settings):
        super().__init__(**settings)
        self.size = size

    def make_env(self, num_envs, purpose, seed, shift):
        raise NotImplementedError

class NoTask:
    pass
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A module of a user's, which nobody has imported."""
    (tmp_path / "own_task.py").write_text(textwrap.dedent(OWN))
    monkeypatch.syspath_prepend(tmp_path)
    yield "own_task"
    sys.modules.pop("own_task", None)


@pytest.mark.parametrize(
    ("overrides", "config", "task"),
    [
        ([], "building", BuildingTask),
        (["env=building_all_climates"], "building", BuildingTask),
        ([], "battles", SMAXTask),
        (["env=smac"], "battles", SMACTask),
    ],
)
def test_a_config_makes_its_task(overrides, config, task):
    cfg = compose_config(*overrides, config=config)
    made = make_task(cfg)
    assert type(made) is task
    assert made.num_envs == cfg.env.num_envs and made.reward_scale == cfg.env.reward_scale


def test_a_task_of_ones_own_is_named_by_its_import_path(own):
    overrides = ["env=own", f"env.name={own}.Own", "+env.options.size=3", "env.num_envs=2"]
    task = make_task(compose_config(*overrides))
    assert (type(task).__name__, task.size, task.num_envs) == ("Own", 3, 2)


def test_a_name_from_a_file_imports_nothing(own):
    with pytest.raises(ValueError, match=r"env.name='own_task.Own' .* first: `import own_task`"):
        find_task(f"{own}.Own", may_import=False)
    assert own not in sys.modules
    __import__(own)
    assert issubclass(find_task(f"{own}.Own", may_import=False), Task)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "castle",
            r"env.name='castle' must be one of \['building', .*'torchrl'\], or the",
        ),
        ("nowhere.Task", "env.name='nowhere.Task': there is no module 'nowhere'"),
        ("own_task.Missing", "subclass of Task, and the module 'own_task' has no 'Missing'"),
        (
            "own_task.NoTask",
            "a subclass of Task, and the module 'own_task' has <class",
        ),
    ],
)
def test_what_is_no_task_is_refused(own, name, message):
    with pytest.raises(ValueError, match=message):
        find_task(name)


def test_a_task_without_a_name_is_called_like_its_class(own):
    assert find_task(f"{own}.Own").name == "Own"

    class Mine(BuildingTask):
        pass

    assert Mine.name == "Mine" and find_task("building") is BuildingTask


def test_a_config_without_the_name_of_its_task_is_refused():
    cfg = OmegaConf.create({"env": {"num_envs": 3}, "device": "cpu"})
    with pytest.raises(ValueError, match=r"env has no name: .* It has \['num_envs'\]"):
        make_task(cfg)


def test_one_number_scales_all_features_of_a_building():
    one, each = BuildingTask(loc=1.0, scale=2), BuildingTask(loc=[1.0] * 5, scale=[2] * 5)
    assert list(one.loc) == list(each.loc) and list(one.scale) == list(each.scale)


def test_tables_show_the_tasks_own_measure():
    class Steps(find_task("torchrl")):
        measure = ("steps", "length")

    task = Steps(make=Counting, kwargs={"length": 4})
    summary = summarize(evaluate_all({"random": RandomTeam()}, task, episodes=2))
    assert summary["measure"].tolist() == ["length"] and summary["mean"].tolist() == [4.0]


def test_a_field_that_a_task_does_not_take_is_refused_by_name(own):
    cfg = OmegaConf.create({"env": {"name": "building", "castles": 3}, "device": "cpu"})
    with pytest.raises(ValueError, match=r"env: BuildingTask cannot be made: .*'castles'"):
        make_task(cfg)


def test_groups_are_for_tasks_that_have_some():
    with pytest.raises(ValueError, match=r"is for buildings.*env.name='smax' has none"):
        SMAXTask().with_groups([1, 2])


@pytest.mark.vmas
class TestTorchRL:
    """Any environment of TorchRL, here VMAS."""

    @pytest.fixture(autouse=True)
    def _needs_vmas(self):
        pytest.importorskip("vmas", reason='needs vmas: pip install "torchrl_drigm[vmas]"')

    def task(self, **fields):
        fields = {
            "make": "torchrl.envs.VmasEnv",
            "kwargs": {"scenario": "balance", "n_agents": 3, "continuous_actions": False},
            "max_steps": 7,
            **fields,
        }
        return find_task("torchrl")(**fields)

    def test_one_state_and_one_reward_for_the_team(self):
        env = self.task(num_envs=4).train_env(seed=0)
        steps = env.rollout(3)
        observation = steps["next", "agents", "observation"]
        assert torch.equal(steps["next", "state"], observation.flatten(-2))
        assert steps["next", "reward"].shape == (4, 3, 1)
        assert ("next", "agents", "reward") not in steps.keys(True)
        raw = env.base_env.full_reward_spec["agents", "reward"]
        assert raw.shape == (4, 3, 1), "the environment's own are per agent"

    def test_episodes_end_by_the_time_limit(self):
        results = evaluate(RandomTeam(), self.task(), episodes=6)
        assert results["steps"].tolist() == [7] * 6
        assert list(results) == ["suite", "shift", "episode", "return", "steps"]

    def test_a_shift_is_an_argument_of_the_environment(self):
        suite = [{"name": "light"}, {"name": "heavy", "package_mass": 50}]
        results = evaluate(RandomTeam(), self.task(max_steps=30), suite, episodes=8)
        mean = results.groupby("shift")["return"].mean()
        assert mean["light"] != mean["heavy"]

    def test_a_perfect_return_normalises(self):
        results = evaluate(RandomTeam(), self.task(return_scale=2.0), episodes=2)
        assert (results["normalized_return"] == results["return"] / 2).all()

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            (
                {"make": "torchrl.envs.Nothing"},
                "env.make='torchrl.envs.Nothing' must lead to",
            ),
            (
                {"make": "torch.nn.Linear"},
                r"env.make='torch.nn.Linear' cannot be called with \['scenario', .*in_features",
            ),
            (
                {"kwargs": {"scenario": "balance", "continuous_actions": True}},
                r"is continuous, .*continuous_actions=False",
            ),
        ],
    )
    def test_what_no_team_can_act_in_is_refused(self, fields, message):
        with pytest.raises(ValueError, match=message):
            self.task(**fields).train_env(0)


def test_an_environment_that_is_not_batched_is_copied():
    task = find_task("torchrl")(make=Counting, num_envs=3)
    steps = task.train_env(seed=0).rollout(2)
    assert steps["next", "reward"].shape == (3, 2, 1)
    team_reward = steps["agents", "action"].sum(-1, keepdim=True).float()
    assert torch.equal(steps["next", "reward"], team_reward)
    suite = [{"name": "short", "length": 1}, {"name": "long", "length": 5}]
    results = evaluate(RandomTeam(), task, suite, episodes=2)
    assert results["steps"].tolist() == [1, 1, 5, 5]


def test_agents_of_another_group_are_the_team():
    names = ({}, {"kwargs": {"group": "walkers"}})
    here, there = (find_task("torchrl")(make=Counting, **name).train_env(seed=0) for name in names)
    assert there.action_keys == here.action_keys == [("agents", "action")]
    data = there.reset()
    assert torch.equal(data["state"], here.reset()["state"])
    data["agents", "action"] = torch.tensor([[1, 2]])
    assert there.step(data)["next", "reward"].item() == 3


def test_a_task_of_a_runs_folder_imports_nothing_later_either(own):
    cfg = {"env": {"name": "torchrl", "make": f"{own}.NoTask"}, "device": "cpu"}
    task = make_task(OmegaConf.create(cfg), may_import=False)
    with pytest.raises(ValueError, match="Import it first: `import own_task`"):
        task.train_env(seed=0)
    assert own not in sys.modules
