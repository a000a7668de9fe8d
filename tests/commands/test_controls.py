"""Controls of a robust run: trained in its folder, and never out of sight."""

import shutil
import sys

import pandas as pd
import pytest
from omegaconf import OmegaConf

from tests.commands.small_runs import train
from torchrl_drigm.__main__ import main
from torchrl_drigm.commands._controls import train_controls
from torchrl_drigm.evaluation.controls import control_configs
from torchrl_drigm.trainers.runs import read_duration

# γ (1 - ρ) is a discount of the grid then, and five controls are enough
ROBUST = ("uncertainty=tv", "uncertainty.rho=0.3", "seed=3")
DISCOUNTS = {"γ = 0.99", "γ = 0.9405", "γ = 0.891", "γ(1-ρ) = 0.693", "γ = 0.495"}


@pytest.fixture(scope="module")
def robust(tmp_path_factory):
    """A robust run without controls."""
    return train(tmp_path_factory.mktemp("lone") / "run", *ROBUST)


@pytest.fixture(scope="module")
def controlled(robust, tmp_path_factory):
    """The same with all of them."""
    folder = shutil.copytree(robust, tmp_path_factory.mktemp("controlled") / "run")
    train_controls(folder)
    return folder


def evaluate(folder, *arguments):
    main(["evaluate", str(folder), "--episodes", "2", *arguments])


class TestEvaluate:
    def test_controls_are_ordinary_runs_in_the_folder_of_the_run(self, controlled):
        cfg = OmegaConf.load(controlled / "config.yaml")
        folders = {folder.name: folder for folder in (controlled / "controls").iterdir()}
        assert folders.keys() == control_configs(cfg).keys()
        for name, folder in folders.items():
            own = OmegaConf.load(folder / "config.yaml")
            assert own.uncertainty == {"name": "none"} and name == f"gamma_{own.optim.gamma:g}"
            assert own.seed == 3
            own.uncertainty, own.optim.gamma = cfg.uncertainty, cfg.optim.gamma
            assert own == cfg, "nothing else differs"
            assert {"checkpoint", "evaluation.csv"} <= {file.name for file in folder.iterdir()}

    def test_they_stand_beside_the_run_without_being_asked_for(self, controlled, capsys):
        evaluate(controlled)
        printed = capsys.readouterr().out
        names = [line.split("  ")[0] for line in printed.splitlines()]
        first = names.index("TV VDN")
        assert names[first + 1 : first + 6] == [
            f"nominal VDN, {label}" for label in sorted(DISCOUNTS, key=gamma_of, reverse=True)
        ]
        assert names[first + 6] == "best discount, in hindsight"
        assert "missing:" not in printed
        table = pd.read_csv(controlled / "evaluation_nominal.csv")
        assert table.groupby("policy").size().to_dict() == dict.fromkeys(set(table["policy"]), 2)
        assert table["policy"].nunique() == 7
        assert (controlled / "evaluation_nominal.png").exists()

    def test_without_them_the_command_that_makes_them_is_printed(self, robust, capsys):
        evaluate(robust)
        printed = capsys.readouterr().out
        command = f"evaluate {robust} --controls --import tests.tasks.toys"
        assert "The control is missing" in printed
        assert f"  python -m torchrl_drigm {command}" in printed.splitlines()

    def test_only_what_is_missing_is_trained(self, controlled, capsys, tmp_path):
        folder = shutil.copytree(controlled, tmp_path / "run")
        (folder / "controls" / "gamma_0.891" / "evaluation.csv").unlink()
        written = (folder / "controls" / "gamma_0.99" / "evaluation.csv").stat().st_mtime_ns
        evaluate(folder)
        assert "1 of 5 controls are missing" in capsys.readouterr().out
        evaluate(folder, "--controls")
        printed = capsys.readouterr().out
        assert "1 run to train, about" in printed and "4 done already" in printed
        assert "best discount" in printed and "missing:" not in printed
        after = (folder / "controls" / "gamma_0.99" / "evaluation.csv").stat().st_mtime_ns
        assert after == written

    def test_controls_of_another_config_are_none(self, controlled, capsys, tmp_path):
        folder = shutil.copytree(controlled, tmp_path / "run")
        for file in (folder / "controls").rglob("config.yaml"):
            cfg = OmegaConf.load(file)
            cfg.optim.lr = 0.5
            OmegaConf.save(cfg, file)
        evaluate(folder)
        assert "The control is missing" in capsys.readouterr().out
        with pytest.raises(ValueError, match=r"holds another run. Differing: optim.lr: 0.5 there"):
            train_controls(folder)

    def test_a_nominal_run_has_none(self, controlled, capsys):
        with pytest.raises(SystemExit, match="1"):
            evaluate(controlled / "controls" / "gamma_0.99", "--controls")
        assert "uncertainty.name='none' has no controls" in capsys.readouterr().err
        evaluate(controlled / "controls" / "gamma_0.99")
        assert "control" not in capsys.readouterr().out.partition("Written")[0]

    def test_a_run_that_has_not_ended_has_none_yet(self, robust, tmp_path):
        folder = shutil.copytree(robust, tmp_path / "run")
        cfg = OmegaConf.load(folder / "config.yaml")
        cfg.collector.total_frames = 64
        OmegaConf.save(cfg, folder / "config.yaml")
        with pytest.raises(ValueError, match=r"has not made its collector.total_frames=64 steps"):
            train_controls(folder)

    def test_what_a_folder_names_is_not_imported(self, robust, tmp_path):
        folder = shutil.copytree(robust, tmp_path / "run")
        cfg = OmegaConf.load(folder / "config.yaml")
        cfg.mixer.name = "antigravity.Mixer"
        OmegaConf.save(cfg, folder / "config.yaml")
        with pytest.raises(ValueError, match=r"names classes of antigravity.*--import antigravity"):
            train_controls(folder)
        assert "antigravity" not in sys.modules

    def test_no_episodes(self, robust, tmp_path, capsys):
        folder = shutil.copytree(robust, tmp_path / "run")
        with pytest.raises(SystemExit, match="1"):
            main(["evaluate", str(folder), "--controls", "--episodes", "0"])
        assert "--episodes=0 must be at least 1" in capsys.readouterr().err
        assert not (folder / "controls").exists(), "nothing is trained before"

    def test_no_jobs(self, robust):
        with pytest.raises(ValueError, match="jobs=0 must be at least 1"):
            train_controls(robust, jobs=0)


def gamma_of(label):
    return float(label.rpartition(" ")[2])


class TestTrain:
    def test_the_table_of_a_run_says_what_is_missing(self, tmp_path, capsys):
        train(tmp_path / "run", *ROBUST)
        assert f"evaluate {tmp_path}/run --controls" in capsys.readouterr().out
        train(tmp_path / "nominal", "uncertainty=none")
        assert "--controls" not in capsys.readouterr().out

    def test_a_run_notes_how_long_it_took(self, robust):
        noted = read_duration(robust)
        assert noted["frames"] == noted["steps"] == 32 and noted["seconds"] > 0


def test_compare_shows_a_robust_run_above_its_controls(controlled, capsys):
    main(["compare", str(controlled)])
    names = [line.split("  ")[0] for line in capsys.readouterr().out.splitlines()]
    gammas = (0.99, 0.9405, 0.891, 0.693, 0.495)
    shown = [f"nominal VDN, optim.gamma={gamma}" for gamma in gammas]
    shown[3] += ", γ(1-ρ)"
    assert names[1:] == ["TV VDN, ρ = 0.3", *shown, "best discount, in hindsight, VDN"]
