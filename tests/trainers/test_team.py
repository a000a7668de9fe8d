"""A trained team, loaded in one line: the same agents, without trainer and without running code."""

import json
import shutil
from types import SimpleNamespace

import pytest
import torch
from omegaconf import OmegaConf
from tensordict import TensorDict

pytest.importorskip(
    "sustaingym", reason='needs sustaingym: pip install "torchrl_drigm[sustaingym]"'
)

from tests.trainers import small_battles
from tests.trainers.small_building import config
from torchrl_drigm import trainers
from torchrl_drigm.evaluation import evaluate
from torchrl_drigm.trainers import RunCheckpoint, export_team, load_checkpoint, load_team
from torchrl_drigm.trainers.builders import make_agents
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


class TestExport:
    """The program acts as the team does, for any number of copies, and says what it takes."""

    @pytest.mark.parametrize(
        "overrides",
        [["uncertainty=none"], ["agent=recurrent", "agent.hidden_size=8"], ["mixer=qtran"]],
        ids=["windows", "sequences", "qtran"],
    )
    def test_the_program_acts_as_the_team(self, tmp_path, overrides):
        trained(tmp_path, *overrides)
        path = export_team(tmp_path)
        assert path == tmp_path / "team.pt2"
        program = torch.export.load(path).module()
        what = json.loads(path.with_suffix(".json").read_text())
        team = load_team(tmp_path)
        for n in (1, 5):
            inputs = [self.random(entry, n) for entry in what["inputs"]]
            action, *state = program(*inputs)
            td = TensorDict(dict(zip(team.in_keys, inputs, strict=True)), [n])
            played = team(td)
            assert torch.equal(action, played["agents", "action"])
            if state:
                torch.testing.assert_close(
                    state[0], played["next", "agents", "recurrent_state"], rtol=0, atol=1e-6
                )

    @staticmethod
    def random(entry, n):
        shape = [n, *entry["shape"][1:]]
        if entry["dtype"] == "int64":
            return torch.randint(10, shape)
        return torch.randn(shape) if entry["dtype"] == "float32" else torch.zeros(shape).bool()

    def test_another_ending_is_refused(self, run, tmp_path):
        with pytest.raises(ValueError, match=r"must end in .pt2"):
            export_team(run.run_dir, tmp_path / "team.onnx")
        assert not list(tmp_path.iterdir())

    def test_a_program_that_acts_otherwise_is_not_written(self, run, tmp_path, monkeypatch):
        from torchrl_drigm.trainers import export

        monkeypatch.setattr(
            export._Program, "_greedy", staticmethod(lambda value, given: value.argmin(-1))
        )
        with pytest.raises(RuntimeError, match="does not act as the team of"):
            export_team(run.run_dir, tmp_path / "team.pt2")
        assert not list(tmp_path.iterdir())
