"""A trained team, loaded in one line: the same agents, without trainer and without running code."""

import json
import shutil
from types import SimpleNamespace

import pytest
import torch
from omegaconf import OmegaConf

pytest.importorskip(
    "sustaingym", reason='needs sustaingym: pip install "torchrl_drigm[sustaingym]"'
)

import torchrl_drigm
from tests.trainers import small_battles
from tests.trainers.small_building import config
from torchrl_drigm import trainers
from torchrl_drigm.config.added import ADDED
from torchrl_drigm.evaluation import evaluate
from torchrl_drigm.trainers import RunCheckpoint, load_checkpoint, load_team
from torchrl_drigm.trainers.builders import make_agents
from torchrl_drigm.trainers.checkpoint_files import _as_text
from torchrl_drigm.trainers.runs import RUN, SIZES
from torchrl_drigm.trainers.team import _load_agents

pytestmark = pytest.mark.sustaingym
SUITE = [{"name": "winter", "days": (0, 30)}, {"name": "summer", "days": (150, 200)}]


def trained(run_dir, *overrides):
    cfg = config("collector.total_frames=64", *overrides)
    torch.manual_seed(0)
    run = trainers.build(cfg, run_dir)
    run.train()
    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("run"))


@pytest.mark.parametrize(
    "overrides",
    [
        ["mixer=vdn", "uncertainty=none"],
        ["mixer=qtran"],
        ["agent=recurrent", "agent.hidden_size=8", "mixer=qtran"],
        ["agent=recurrent", "agent.hidden_size=8", "agent.core=lstm"],
    ],
    ids=["windows", "qtran", "sequences of qtran", "lstm"],
)
def test_a_loaded_team_plays_as_the_run_does(tmp_path, overrides):
    run = trained(tmp_path, *overrides)
    team = load_team(tmp_path)
    for (name, ours), (_, theirs) in zip(
        team.agents.state_dict().items(), run.agents.state_dict().items(), strict=True
    ):
        assert torch.equal(ours, theirs), name
    results = evaluate(team, suite=SUITE, episodes=2)
    assert results.equals(evaluate(run.team, suite=SUITE, episodes=2))
    assert team.task.n_action_levels == 10, "the task is the run's own"


def test_it_acts_for_a_day_in_its_own_environment(run):
    """Which is what evaluation plays, on the days that were asked for."""
    env = torchrl_drigm.load_team(run.run_dir).make_env(2, {"days": (150, 152)}, seed=5)
    day = env.rollout(288, run.team)
    assert day["agents", "action"].shape == (2, 288, 6)
    assert set(env.base_env.day.tolist()) <= {150, 151}
    with pytest.raises(ValueError, match=r"'acting' has \['wether'\], which the task 'building'"):
        run.team.make_env(shift={"wether": "fine"})


@pytest.mark.smax
def test_a_team_of_battles_is_loaded_without_its_simulator(tmp_path, monkeypatch):
    pytest.importorskip("jaxmarl", reason='needs jaxmarl: pip install "torchrl_drigm[smax]"')
    from torchrl_drigm.tasks import battles

    cfg = small_battles.config("collector.total_frames=64")
    torch.manual_seed(0)
    run = trainers.build(cfg, tmp_path)
    run.train()
    monkeypatch.setattr(battles, "SMAXEnv", None)
    team = load_team(tmp_path)
    for ours, theirs in zip(team.parameters(), run.agents.parameters(), strict=True):
        assert torch.equal(ours, theirs)


class TestRefusals:
    def test_no_run(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"no config.yaml in .*: name the folder of a"):
            load_team(tmp_path)

    def test_a_run_without_a_checkpoint(self, run, tmp_path):
        shutil.copy(run.run_dir / "config.yaml", tmp_path)
        with pytest.raises(FileNotFoundError, match="no checkpoint at"):
            load_team(tmp_path)

    def test_another_folder_is_told_which_one_may_be_meant(self, run, tmp_path):
        shutil.copytree(run.run_dir, own := tmp_path / "run")
        (tmp_path / ".hydra").mkdir()  # in which Hydra has a config of that name
        shutil.copy(run.run_dir / "config.yaml", tmp_path / ".hydra")
        for folder, words in {tmp_path: "such as", own / "checkpoint": "which is"}.items():
            with pytest.raises(FileNotFoundError, match=rf"folder of a run, {words} {own}\."):
                load_team(folder)

    def test_published_networks_are_told_apart(self, tmp_path):
        (tmp_path / "network_parameter").mkdir()
        with pytest.raises(FileNotFoundError, match=r"no config.yaml .* load_released_team loads"):
            load_team(tmp_path)

    def test_a_checkpoint_whose_first_save_was_killed(self, run, tmp_path):
        shutil.copy(run.run_dir / "config.yaml", tmp_path)
        shutil.copytree(run.run_dir / "checkpoint", tmp_path / ".checkpoint.saving" / "part")
        with pytest.raises(
            FileNotFoundError, match=rf"before it wrote .* hydra.run.dir={tmp_path},"
        ):
            load_team(tmp_path)
        (tmp_path / ".checkpoint.saving" / "part").rename(tmp_path / ".checkpoint.saving" / "new")
        assert load_team(tmp_path).sizes == run.team.sizes, "what is whole is found"

    @pytest.mark.parametrize("version", ["1.0.0", "0.20.1"])
    def test_a_newer_version(self, run, tmp_path, version):
        """Whatever else it has in its config, the version is what is told."""
        shutil.copytree(run.run_dir, newer := tmp_path / "run")
        cfg = OmegaConf.load(newer / "config.yaml")
        cfg.env.unheard_of = 1
        OmegaConf.save(cfg, newer / "config.yaml")
        listed = newer / "checkpoint" / "files.json"
        listed.write_text(json.dumps(json.loads(listed.read_text()) | {"version": version}))
        with pytest.raises(ValueError, match=rf"files.json has version='{version}', .* Install"):
            load_team(newer)

    def test_a_version_of_the_same_kind_or_none_is_believed(self, run, tmp_path):
        shutil.copytree(run.run_dir, other := tmp_path / "run")
        listed = other / "checkpoint" / "files.json"
        files = json.loads(listed.read_text())["files"]
        for version in ({}, {"version": "0.1.7"}, {"version": "0.0.3"}):
            listed.write_text(_as_text(files, **version))
            assert load_team(other).sizes == run.team.sizes
        listed.write_text(_as_text(files, version="new"))
        with pytest.raises(ValueError, match=r"it is damaged .files.json has version='new'"):
            load_team(other)

    def test_a_run_of_before_fields_were_added(self, tmp_path):
        run, older = trained(tmp_path / "run", "agent.action_degree=null"), tmp_path / "older"
        shutil.copytree(run.run_dir, older)
        cfg = OmegaConf.load(older / "config.yaml")
        absent = object()
        for name, before in ADDED.items():
            group, _, field = name.rpartition(".")
            if OmegaConf.select(cfg, name, default=absent) == before:
                del cfg[group][field]
        assert "ground_temp" not in cfg.env and "action_degree" not in cfg.agent
        OmegaConf.save(cfg, older / "config.yaml")
        team, env = load_team(older), run.team.make_env(2)
        td = env.reset()
        assert torch.equal(
            team(td.clone())["agents", "action"], run.team(td.clone())["agents", "action"]
        )
        team.make_env(2).rollout(2, team)

    def test_a_damaged_checkpoint(self, run, tmp_path):
        shutil.copytree(run.run_dir, damaged := tmp_path / "run")
        file = next(damaged.glob("checkpoint/components/*-loss_module/state/*.memmap"))
        file.write_bytes(file.read_bytes()[:-4] + b"\0\0\0\1")
        with pytest.raises(ValueError, match="it is damaged"):
            load_team(damaged)

    def test_a_checkpoint_of_an_earlier_version(self, run, tmp_path):
        trainer = run.trainer
        without = {k: v for k, v in trainer.checkpoint.components[RUN].items() if k != SIZES}
        progress = SimpleNamespace(
            state_dict=lambda: {"collected_frames": 64}, load_state_dict=lambda state: None
        )
        earlier = RunCheckpoint(**{RUN: without, "trainer_state": progress})
        shutil.copy(run.run_dir / "config.yaml", tmp_path)
        earlier.save(tmp_path / "checkpoint")
        with pytest.raises(ValueError, match=r"cannot load a team .* by an earlier version"):
            load_team(tmp_path)
        with pytest.raises(ValueError, match=r"cannot resume from .* by an earlier version"):
            load_checkpoint(trainer, tmp_path / "checkpoint")

    @pytest.mark.parametrize("field", ["agent.window", "agent.hidden_size", "env.n_action_levels"])
    def test_a_config_of_another_run(self, run, tmp_path, field):
        shutil.copytree(run.run_dir, changed := tmp_path / "run")
        cfg = OmegaConf.load(changed / "config.yaml")
        OmegaConf.update(cfg, field, 7)
        OmegaConf.save(cfg, changed / "config.yaml")
        with pytest.raises(ValueError, match=rf"not that of its checkpoint. Differing: {field}: "):
            load_team(changed)

    @pytest.mark.parametrize(
        "overrides",
        [["agent.hidden_size=4"], ["agent.core=lstm"], ["agent.share_params=true"]],
        ids=["sizes", "core", "sharing"],
    )
    def test_networks_that_a_checkpoint_does_not_fit(self, run, overrides):
        """Whatever fits by chance would be loaded, and the rest would stay as it began."""
        agents = make_agents(config(*overrides), run.team.sizes)
        with pytest.raises(ValueError, match=r"does not fit the networks of the config: '.*', one"):
            _load_agents(agents, run.run_dir / "checkpoint")

    def test_a_class_of_ones_own_is_not_imported(self, run, tmp_path):
        shutil.copytree(run.run_dir, changed := tmp_path / "run")
        cfg = OmegaConf.load(changed / "config.yaml")
        cfg.env.name = "antigravity.Task"
        OmegaConf.save(cfg, changed / "config.yaml")
        with pytest.raises(ValueError, match="Import it first: `import antigravity`"):
            load_team(changed)

    def test_a_team_trained_elsewhere_acts_on_the_cpu(self, run, tmp_path):
        shutil.copytree(run.run_dir, elsewhere := tmp_path / "run")
        cfg = OmegaConf.load(elsewhere / "config.yaml")
        cfg.device = "cuda"
        OmegaConf.save(cfg, elsewhere / "config.yaml")
        assert {p.device.type for p in load_team(elsewhere).parameters()} == {"cpu"}

    def test_loading_writes_nothing(self, run):
        before = {p: p.stat().st_mtime_ns for p in run.run_dir.rglob("*")}
        load_team(run.run_dir)
        assert {p: p.stat().st_mtime_ns for p in run.run_dir.rglob("*")} == before
