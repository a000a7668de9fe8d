"""A team as a program: it acts as the team does, remembers by itself, or is not written."""

import json

import numpy as np
import pytest
import torch
from tensordict import TensorDict

pytest.importorskip(
    "sustaingym", reason='needs sustaingym: pip install "torchrl_drigm[sustaingym]"'
)

from tests.trainers import small_battles
from tests.trainers.small_building import config
from torchrl_drigm import trainers
from torchrl_drigm.__main__ import main
from torchrl_drigm.config import compose_config
from torchrl_drigm.trainers import agreement, export, export_team, load_team, program_files
from torchrl_drigm.trainers.program import StepProgram

pytestmark = pytest.mark.sustaingym
ENDINGS = [".pt2"] if program_files.missing_for_onnx() else [".pt2", ".onnx"]
AGENTS = {
    "a window": ["agent.window=3", "agent.core=lstm"],
    "levels": ["agent.core=none", "agent.action_degree=5"],
    "no core": [
        *("agent.core=none", "agent.share_params=true", "agent.agent_id=true"),
        "agent.action_degree=null",
    ],
    "a state": ["agent=recurrent", "agent.hidden_size=8"],
    "a state of QTRAN": ["agent=recurrent", "agent.core=lstm", "agent.hidden_size=8"],
}


def begun(folder, cfg):
    """A run with its first checkpoint, of networks whose actions change often."""
    torch.manual_seed(0)
    run = trainers.build(cfg, folder)
    with torch.no_grad():
        for parameter in run.agents.parameters():
            parameter.mul_(4.0)
    trainers.save_config(cfg, folder)
    run.trainer.save_trainer(force_save=True)
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Folders of runs, each made when it is first asked for."""
    found = {}

    def folder(agents):
        if agents not in found:
            mixer = "mixer=qtran" if "QTRAN" in agents else "uncertainty=none"
            cfg = config(mixer, *AGENTS[agents])
            found[agents] = begun(tmp_path_factory.mktemp("run"), cfg)
        return found[agents]

    return folder


@pytest.fixture(scope="module")
def programs(runs, tmp_path_factory):
    """Paths of the programs of a run, in every format that can be written here."""
    found = {}

    def paths(agents):
        if agents not in found:
            folder = tmp_path_factory.mktemp("programs")
            found[agents] = [folder / f"team{ending}" for ending in ENDINGS]
            export.write_programs(runs(agents), found[agents])
        return found[agents]

    return paths


def load(path):
    """The program in a file, and what is told of it."""
    told = json.loads(path.with_suffix(".json").read_text())
    if path.suffix == ".pt2":
        return torch.export.load(path).module(), told
    session = pytest.importorskip("onnxruntime").InferenceSession(
        str(path), providers=["CPUExecutionProvider"]
    )

    def program(*given):
        names = [entry["name"] for entry in told["inputs"]]
        outputs = session.run(None, dict(zip(names, map(np.asarray, given), strict=True)))
        return [torch.from_numpy(array) for array in outputs]

    return program, told


@pytest.mark.parametrize("agents", AGENTS)
def test_a_program_remembers_by_itself_along_a_day(runs, programs, agents):
    """With nothing of this package but the environment: what its JSON file says is enough."""
    team = load_team(runs(agents))
    with torch.no_grad():
        day = team.make_env(3).rollout(40, team)
    action = day["agents", "action"]
    assert (action[:, 1:] != action[:, :-1]).any()
    for path in programs(agents):
        program, told = load(path)
        env = team.task.make_env(3, "test", 11, {})
        step, memory = env.reset(), first(told, 3)
        for time in range(40):
            action, *memory = program(step["agents", "observation"], *memory)
            assert torch.equal(action, day[:, time]["agents", "action"]), time
            step = env.step(step.set(("agents", "action"), action))["next"]
        shapes = [list(action.shape[1:]), *(list(m.shape[1:]) for m in memory)]
        assert shapes == [entry["shape"][1:] for entry in told["outputs"]]


def first(told, n):
    return [
        torch.full((n, *entry["shape"][1:]), entry["initial"], dtype=getattr(torch, entry["dtype"]))
        for entry in told["inputs"]
        if "initial" in entry
    ]


@pytest.mark.smax
@pytest.mark.slow
def test_what_is_not_available_is_not_done(tmp_path):
    pytest.importorskip("jaxmarl", reason='needs jaxmarl: pip install "torchrl_drigm[smax]"')
    paths = [tmp_path / f"team{ending}" for ending in ENDINGS]
    compared = export.write_programs(begun(tmp_path / "run", small_battles.config()), paths)
    for path in paths:
        program, told = load(path)
        assert [e["name"] for e in told["inputs"]][:2] == ["observation", "action_mask"]
        assert set(compared[path.name]) == {"random inputs", "an episode of smax"}
        assert all(what[0].isdecimal() for what in compared[path.name].values()), compared
        n, n_actions = told["n_agents"], told["n_actions"]
        only = torch.randint(n_actions, (5, n))
        mask = torch.nn.functional.one_hot(only, n_actions).bool()
        observation = torch.randn(5, *told["inputs"][0]["shape"][1:])
        action, *_ = program(observation, mask, *first(told, 5))
        assert torch.equal(action, only)


def test_a_toy_team_is_compared_along_its_episode(tmp_path):
    cfg = compose_config("env=harvest", "preset=toy", "progress_bar=false", config="torchrl")
    path = export_team(begun(tmp_path, cfg))
    assert path == tmp_path / "team.pt2"
    compared = load(path)[1]["compared_with_pytorch"]["team.pt2"]
    assert compared["an episode of harvest"].startswith("28 actions")  # 2 × 7 steps × 2 agents


class TestComparison:
    @pytest.fixture
    def team(self, runs):
        return load_team(runs("a state"))

    def test_a_program_that_acts_otherwise(self, team):
        step = StepProgram(team)
        with pytest.raises(agreement.Disagreement, match=r"[1-6] of 6 actions are other ones"):
            agreement.on_random_inputs(team, step, lambda *x: (9 - step(*x)[0], *step(*x)[1:]))

    def test_a_program_that_forgets(self, team):
        step = StepProgram(team)
        with pytest.raises(agreement.Disagreement, match="what it remembers from step to step"):
            agreement.on_real_inputs(team, step, lambda *x: (step(*x)[0], *x[1:]))

    def test_actions_of_the_same_value_may_stand_for_each_other(self):
        low = torch.finfo(torch.float32).min
        values = torch.tensor([[[1.0, 1.0, 0.5], [2.0, low, 2.0 + 1e-6]]])
        acted = TensorDict(
            {"agents": {"action": torch.tensor([[0, 2]]), "action_value": values}}, [1]
        )
        found = agreement._compare(torch.tensor([[1, 0]]), acted)
        assert str(found) == "2 actions, 2 of them between equal values"
        for other in ([[2, 2]], [[0, 1]], [[0, 3]], [[-1, 2]]):
            with pytest.raises(agreement.Disagreement, match="1 of 2 actions"):
                agreement._compare(torch.tensor(other), acted)
        with pytest.raises(agreement.Disagreement, match=r"int64 of shape \[1, 1\]"):
            agreement._compare(torch.tensor([[0]]), acted)

    def test_random_masks_allow_something(self, team):
        entry = agreement.Entry("action_mask", (6, 10), "bool")
        mask = agreement._random(
            entry, 500, team, StepProgram(team), torch.Generator().manual_seed(0)
        )
        assert mask.any(-1).all() and not mask.all()


class TestRefusals:
    def test_another_ending(self, runs, tmp_path):
        with pytest.raises(ValueError, match=r"must end in .pt2, .* or in .onnx"):
            export_team(runs("no core"), tmp_path / "team.h5")
        assert not list(tmp_path.iterdir())

    def test_a_program_that_acts_otherwise_is_not_written(
        self, runs, tmp_path, monkeypatch, capsys
    ):
        worst = staticmethod(lambda value, given: value.argmin(-1))
        monkeypatch.setattr(StepProgram, "_greedy", worst)
        with pytest.raises(RuntimeError, match="does not act as the team of"):
            export_team(runs("no core"), tmp_path / "team.pt2")
        with pytest.raises(SystemExit, match="1"):
            main(["export", str(runs("no core")), "--out", str(tmp_path / "programs")])
        assert "was not written: the program does not act as" in capsys.readouterr().err
        assert not list(tmp_path.iterdir())

    def test_one_that_acts_otherwise_takes_the_others_with_it(self, runs, tmp_path, monkeypatch):
        def other(step, exported):
            content, program = export._pt2(step, exported)
            return content, lambda *x: [(program(*x)[0] + 1) % 10, *program(*x)[1:]]

        monkeypatch.setitem(export._WRITERS, ".onnx", other)
        monkeypatch.setattr(program_files, "ONNX", ())
        with pytest.raises(RuntimeError, match=r"team.onnx was not written"):
            export.write_programs(
                runs("no core"), [tmp_path / f"team{e}" for e in (".pt2", ".onnx")]
            )
        assert not list(tmp_path.iterdir())

    def test_onnx_without_its_packages(self, runs, tmp_path, monkeypatch):
        monkeypatch.setattr(program_files, "ONNX", ("no_such_package",))
        with pytest.raises(ImportError, match=r'no_such_package missing. pip .*drigm\[onnx\]"'):
            export_team(runs("no core"), tmp_path / "team.onnx")
        assert not list(tmp_path.iterdir())

    def test_a_run_that_is_none(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"no config.yaml in"):
            export_team(tmp_path, tmp_path / "out" / "team.pt2")
        assert not list(tmp_path.iterdir())


class TestCommand:
    def test_it_writes_both_formats_and_says_what_was_compared(self, runs, tmp_path, capsys):
        main(["export", str(runs("no core")), "--out", str(tmp_path / "programs")])
        printed = capsys.readouterr().out
        written = {path.name for path in (tmp_path / "programs").iterdir()}
        endings = {".pt2"} if program_files.missing_for_onnx() else {".pt2", ".onnx"}
        assert written == {f"team{ending}" for ending in endings | {".json"}}
        for ending in endings:
            assert f"team{ending} acts as the team in PyTorch does:" in printed
        assert "an episode of building: 768 actions" in printed

    def test_without_onnx_it_says_what_is_missing(self, runs, tmp_path, capsys, monkeypatch):
        monkeypatch.setattr(program_files, "ONNX", ("no_such_package",))
        main(["export", str(runs("no core")), "--out", str(tmp_path)])
        assert 'No team.onnx, which needs more: pip install "torchrl_' in capsys.readouterr().out
        assert {path.name for path in tmp_path.iterdir()} == {"team.pt2", "team.json"}

    def test_a_file_is_no_folder(self, runs, tmp_path, capsys):
        (tmp_path / "notes").write_text("")
        for out in (tmp_path / "notes", tmp_path / "notes" / "team.pt2"):
            with pytest.raises(SystemExit, match="1"):
                main(["export", str(runs("no core")), "--out", str(out)])
            message = f"{tmp_path / 'notes'} is a file. Name a folder, or a file in one."
            assert message in capsys.readouterr().err

    def test_without_the_simulator_it_says_that_no_episode_was_compared(
        self, runs, tmp_path, capsys, monkeypatch
    ):
        def missing(*_):
            raise ImportError("sustaingym is not installed")

        monkeypatch.setattr(trainers.Team, "make_env", missing)
        main(["export", str(runs("no core")), "--out", str(tmp_path / "team.pt2")])
        printed = capsys.readouterr().out
        assert "an episode of building: not compared: sustaingym is not installed" in printed
