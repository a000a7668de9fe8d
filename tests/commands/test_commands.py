"""The command line, as somebody without a checkout uses it."""

import sys
from pathlib import Path

import pytest

from torchrl_drigm.__main__ import COMMANDS, main

ROOT = Path(__file__).parents[2]


def test_help_names_every_command(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    printed = capsys.readouterr().out
    assert all(f"    {command}" in printed for command in COMMANDS)


@pytest.mark.parametrize("command", [c for c in COMMANDS if c != "train"])
def test_every_command_has_a_help(command, capsys):
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    printed = capsys.readouterr().out
    assert f"usage: python -m torchrl_drigm {command}" in printed and len(printed) > 400


@pytest.mark.parametrize(
    "words",
    [
        *(["compare", ""], ["compare", "runs", "--out", ""], ["export", ""], ["evaluate", ""]),
        *(["evaluate", "runs", "--out="], ["export", "runs", "--out", ""]),
        *(["choose", "building", "--out", ""], ["reproduce", "--out", ""]),
        ["reproduce", "--published", ""],
    ],
    ids=" ".join,
)
def test_a_variable_that_is_not_set_is_no_folder(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match="2"):
        main(words)
    assert "an empty name: say . for the folder you are in" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_help_of_train_names_the_configs(capsys):
    main(["train", "--help"])
    printed = capsys.readouterr().out
    assert all(f"  {name} " in printed for name in ("building", "battles", "torchrl"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "castle"], "'castle' is no config; there are: battles, building, torchrl"),
        (["evaluate", "nowhere"], "evaluate: no config.yaml in nowhere"),
        (["export", "nowhere"], "export: no config.yaml in nowhere"),
        (["compare", "nowhere"], "compare: no config.yaml and no evaluation.csv below nowhere"),
    ],
)
def test_bad_input_is_one_line(arguments, message, capsys):
    with pytest.raises(SystemExit, match=r"[12]"):
        main(arguments)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("command", [c for c in COMMANDS if c != "train"])
def test_modules_of_ones_own_are_imported_when_they_are_named(command, tmp_path, capsys):
    with pytest.raises(SystemExit, match="1"):
        words = ["--out"] if command == "reproduce" else []
        main([command, "--import", "json", "--import", "no_such_module", *words, str(tmp_path)])
    assert f"{command}: --import='no_such_module': there is no mod" in capsys.readouterr().err


def test_options_of_hydra_may_stand_between_overrides(monkeypatch):
    given = []
    monkeypatch.setattr("hydra.main", lambda **_: lambda _: lambda: given.extend(sys.argv[1:]))
    monkeypatch.setattr(sys, "argv", [])
    words = ["env=mine", "--config-dir", "conf", "-m", "seed=0,1", "~logger=csv"]
    main(["train", "torchrl", *words])
    fields = ["env=mine", "seed=0,1", "~logger=csv", "hydra.job.name=torchrl"]
    assert given == [*fields, "--config-dir", "conf", "-m"]


@pytest.mark.vmas
@pytest.mark.slow
def test_an_environment_of_torchrl_is_trained_and_evaluated(python, tmp_path):
    pytest.importorskip("vmas", reason='needs vmas: pip install "torchrl_drigm[vmas]"')

    def run(*arguments):
        return python("-m", "torchrl_drigm", *arguments, cwd=tmp_path, PYTHONPATH=str(ROOT))

    small = ["env.num_envs=8", "env.kwargs.scenario=balance", "collector.frames_per_batch=256"]
    small += ["env.max_steps=30", "optim.updates_per_batch=2", "replay.batch_size=4"]
    small += ["agent.hidden_size=8", "collector.total_frames=1024", "evaluation.episodes=4"]
    suite = "evaluation.suite=[{name: as trained}, {name: heavy, package_mass: 20}]"
    done = run("train", "torchrl", *small, suite)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "as trained" in done.stdout and "heavy" in done.stdout
    (folder,) = (tmp_path / "runs" / "torchrl").iterdir()
    done = run("evaluate", folder, "--episodes", 2)
    assert "nominal" in done.stdout, done.stderr[-3000:]
