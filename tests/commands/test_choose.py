"""The command that chooses a field's value in shifts that no test has."""

import re
import shlex
import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch
from omegaconf import OmegaConf

from tests.commands.small_runs import SMALL, TOY
from torchrl_drigm.__main__ import main
from torchrl_drigm.commands._choice import _validation
from torchrl_drigm.commands._runs import train_runs
from torchrl_drigm.config import compose_config
from torchrl_drigm.trainers import load_team

SWEEP = ["uncertainty=tv", "uncertainty.rho=0.1,0.4"]
SHIFTS = [{"name": "two", "length": 2}, {"name": "five", "length": 5}]


@pytest.fixture
def shifts(tmp_path, monkeypatch):
    """In an empty folder with a suite."""
    monkeypatch.chdir(tmp_path)
    OmegaConf.save(OmegaConf.create(SHIFTS), "mine.yaml")


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """The folder of a sweep over two values and two seeds."""
    folder = tmp_path_factory.mktemp("swept")
    OmegaConf.save(OmegaConf.create(SHIFTS), folder / "mine.yaml")
    options = ["--out", str(folder / "sweep")]
    choose(*SWEEP, "seed=0,1", *options, validate=str(folder / "mine.yaml"))
    return folder / "sweep"


def choose(*words, validate="mine.yaml"):
    main(["choose", "torchrl", *SMALL, "--validate", validate, "--episodes", "2", *words])


@pytest.fixture
def nothing_is_trained(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("trained")

    monkeypatch.setattr("torchrl_drigm.commands._runs.build", refuse)


@pytest.mark.parametrize("score", ["mean", "worst"])
def test_the_value_with_the_best_score_is_written_down(score, shifts, swept, capsys, monkeypatch):
    # returns by value, seed and shift: 0.1 is best on average, 0.4 in the worst shift
    worth = {(0.1, 0): (1, 9), (0.1, 1): (2, 10), (0.4, 0): (4, 5), (0.4, 1): (5, 4)}

    def played(team, suite, episodes, seed):
        assert (episodes, seed) == (2, 12) and [shift["name"] for shift in suite] == ["two", "five"]
        two, five = worth[team.cfg.uncertainty.rho, team.cfg.seed]
        rows = {"shift": ["two"] * 2 + ["five"] * 2, "return": [two, two, five - 1, five + 1]}
        return pd.DataFrame(rows)

    shutil.copytree(swept, "sweep")
    monkeypatch.setattr("torchrl_drigm.commands._choice.evaluate", played)
    choose(*SWEEP, "seed=0,1", "--out", "sweep", "--score", score)
    printed = capsys.readouterr().out
    assert "0 runs to train; 4 done already" in printed
    choice = OmegaConf.load("sweep/choice.yaml")
    best, value, rule = {
        "mean": (0.1, 5.5, "mean over the shifts of the mean over the seeds"),
        "worst": (0.4, 4.5, "worst shift of the mean over the seeds"),
    }[score]
    assert (choice.field, choice.value, choice.rule) == ("uncertainty.rho", best, rule)
    assert choice.score == pytest.approx(value)
    assert (choice.suite, choice.seeds, choice.episodes) == ("mine", [0, 1], 2)
    assert choice.shifts[1] == {"name": "five", "length": 5}
    assert len(pd.read_csv("sweep/validation.csv")) == 2 * 2 * 4
    line = next(line for line in printed.splitlines() if f"rho={best} *" in line)
    assert f"{value:.1f} ± 0.5" in line or score == "worst"
    # the command that is printed is that of a run with the value, of whatever seed
    words = shlex.split(choice.command)
    assert choice.command in printed and words[:5] == ["python", "-m", "torchrl_drigm", *words[3:5]]
    cfg = compose_config(*words[5:], config=words[4])
    assert cfg.uncertainty.rho == best and cfg.env.make.endswith("Counting")
    # the runs are ordinary ones, which stay
    files = {file.name for file in Path("sweep/rho_0.4/seed_1").iterdir()}
    assert {"checkpoint", "config.yaml", "evaluation.csv"} <= files


def test_runs_that_are_done_stay_and_values_may_be_added(shifts, swept, capsys):
    shutil.copytree(swept, "sweep")
    before = Path("sweep/rho_0.1/seed_1/evaluation.csv").stat().st_mtime_ns
    choose("uncertainty=tv", "--out", "sweep", "seed=1", "uncertainty.rho=0.1,0.2,0.4")
    assert "1 run to train; 2 done already" in capsys.readouterr().out
    assert Path("sweep/rho_0.1/seed_1/evaluation.csv").stat().st_mtime_ns == before
    choice = OmegaConf.load("sweep/choice.yaml")
    assert list(choice.scores) == ["0.1", "0.2", "0.4"] and choice.seeds == [1]


@pytest.mark.slow
def test_two_at_a_time_are_the_same_runs(swept, tmp_path):
    folders = [Path("rho_0.1/seed_1"), Path("rho_0.4/seed_0")]
    configs = {tmp_path / name: OmegaConf.load(swept / name / "config.yaml") for name in folders}
    train_runs(configs, jobs=2, modules=["tests.tasks.toys"])
    for name in folders:
        alone, beside = (load_team(folder / name) for folder in (swept, tmp_path))
        assert all(map(torch.equal, alone.parameters(), beside.parameters()))


@pytest.mark.usefixtures("shifts", "nothing_is_trained")
class TestRefusals:
    """Before anything is trained, each by what is wrong."""

    def refused(self, capsys, *words, **suite):
        with pytest.raises(SystemExit, match="1"):
            choose(*words, "--out", "sweep", **suite)
        return capsys.readouterr().err

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            ([], "one field must have several values to choose from, .* and none"),
            (["seed=0,1"], "several values to choose from, .* and none"),
            ([*SWEEP, "optim.gamma=0.9,0.8"], "2 have: uncertainty.rho=0.1,0.4, optim.gamma=0.9"),
            (["optim.gamma=choice(0.9)"], "of one value there is nothing to choose"),
            (["optim.gamma=0.9,0.9"], "two values are the same"),
            (["optim.gamma=1,1.0"], "two values are the same"),
            (["uncertainty=tv", "uncertainty.rho=0.1,1.5"], r"rho=1.5 must be in \[0, 1\]"),
            (["uncertainty=tv", "uncertainty.rho=0.1,nan"], r"rho=nan must be in \[0, 1\]"),
            (["optim.gamma=glob(*)"], "write the values out, optim.gamma=a,b"),
            (["optim.gama=0.9,0.8"], "gama"),
            (["optim.gamma=0.9,1.8"], r"optim.gamma=1.8 must be in \[0, 1\]"),
            (["optim.gamma=0.9,"], "optim.gamma=0.9,: .*override_grammar"),
            ([*SWEEP, "resume=x/checkpoint"], "resume belongs to one run.*--out FOLDER"),
            ([*SWEEP, "--episodes", "0"], "--episodes=0 must be at least 1"),
            ([*SWEEP, "--jobs", "0"], "jobs=0 must be at least 1"),
        ],
    )
    def test_no_sweep_over_one_field(self, words, message, capsys):
        printed = self.refused(capsys, *words)
        assert printed.startswith("choose: ")
        assert re.search(message, printed, re.DOTALL)

    @pytest.mark.parametrize(
        ("suite", "message"),
        [
            ("validation", "env.name='torchrl' has no suite 'validation'; it has nominal, to test"),
            ("other", "suite='other' is unknown"),
            ("nominal", "shift 'nominal' is 'nominal' of the test suite 'nominal'"),
        ],
    )
    def test_no_suite_to_validate_in(self, suite, message, capsys):
        assert message in self.refused(capsys, *SWEEP, validate=suite)

    def test_test_shifts_whatever_they_are_called(self, capsys):
        tested = "evaluation.suite=[{name: b, length: 5}]"
        printed = self.refused(capsys, *SWEEP, tested)
        assert (
            "shift 'five' is 'b' of the test suite 'evaluation.suite=own'. What is chosen"
        ) in printed

    def test_what_is_not_changed_counts(self, capsys):
        """Three steps are those of training."""
        OmegaConf.save(OmegaConf.create([{"name": "three", "length": 3}]), "mine.yaml")
        assert "'three' is 'nominal' of the test suite" in self.refused(capsys, *SWEEP)

    def test_a_folder_of_another_sweep(self, capsys, tmp_path):
        there = {"config": "torchrl", "field": "optim.gamma", "overrides": [TOY]}
        (tmp_path / "sweep").mkdir()
        OmegaConf.save(OmegaConf.create(there), tmp_path / "sweep" / "sweep.yaml")
        printed = self.refused(capsys, *SWEEP)
        assert "sweep holds another sweep. Differing: field: 'optim.gamma' there" in printed

    def test_the_folder_of_a_run(self, capsys, tmp_path):
        (tmp_path / "sweep").mkdir()
        (tmp_path / "sweep" / "config.yaml").touch()
        printed = self.refused(capsys, *SWEEP)
        assert "--out=sweep is the folder of a run: name another one" in printed
        assert [path.name for path in (tmp_path / "sweep").iterdir()] == ["config.yaml"]

    def test_no_config(self, capsys):
        with pytest.raises(SystemExit, match="1"):
            main(["choose", "castle", *SWEEP])
        assert "'castle' is no config; there are: battles" in capsys.readouterr().err


def test_a_suite_that_shows_those_of_validation_leaves_them_to_choose_in():
    suite, shifts = _validation([compose_config("evaluation.suite=climate16")], "validation")
    assert suite == "validation" and [shift["name"][:4] for shift in shifts] == ["val_"] * 4
    with pytest.raises(ValueError, match=r"'val_1' is 'val_1' of .*'evaluation.suite=validation'"):
        _validation([compose_config("evaluation.suite=validation")], "validation")
