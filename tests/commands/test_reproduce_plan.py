"""The command ``reproduce``: what it plans, says and refuses, without training."""

import argparse
import sys
from pathlib import Path

import pytest

from torchrl_drigm.__main__ import main
from torchrl_drigm.commands import _paper_plan, _reproduction, reproduce
from torchrl_drigm.commands._paper_parts import of_battles
from torchrl_drigm.commands._played import Played
from torchrl_drigm.tasks import BuildingTask, SMAXTask

pytest.importorskip(
    "sustaingym", reason='needs sustaingym: pip install "torchrl_drigm[sustaingym]"'
)
pytestmark = pytest.mark.sustaingym


def test_dry_run_says_what_would_be_done_and_writes_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    main(["reproduce", "--seeds", "3", "--preset", "paper", "--jobs", "2", "--dry-run"])
    told = capsys.readouterr().out
    assert "qtran group_dr" in told and "3 of 3 runs to train" in told
    # 3 mixers x (5 sets + the discounts that are not γ itself: 0.95, 0.9, 0.7 and 0.5 of it, and
    # γ(1-ρ) of ρ = 0.02 and 0.2), 3 seeds
    assert "99 runs to train" in told and "2 at a time" in told
    assert not list(tmp_path.iterdir())


def test_controls_of_a_preset_that_trains_a_set_otherwise_train_so_too():
    sets = ["none", "contamination", "tv"]
    jobs = _paper_plan.plan(Path("out"), "released", ["qmix"], sets, [0], controls=True)
    (robust,) = (job for job in jobs if job.label == "qmix tv")
    fields = ("updates_per_batch", "dual_first", "gamma")
    values = {
        tuple(getattr(cfg.optim, field) for field in fields)
        for job in jobs
        if "discount tv" in job.label
        for cfg in job.members().values()
    }
    (cfg,) = robust.members().values()
    expected = {(cfg.optim.updates_per_batch, cfg.optim.dual_first, gamma) for gamma in GAMMAS}
    assert values == expected


GAMMAS = (0.997, 0.94715, 0.8973, 0.7976, 0.6979, 0.4985)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--part", "seasons"], "invalid choice: 'seasons'"),
        (["--protocol", "loose"], "invalid choice: 'loose'"),
        (["--preset", "best"], "invalid choice: 'best'"),
        (["--seeds", "0"], "--seeds=0 must be at least 1"),
        (["--set", "env.building=NoSuch", "--dry-run"], "env.building='NoSuch' is unknown"),
        (["--set", "optim.gama=0.9"], "optim.gama is no field: those there are ['name', 'lr'"),
        (["--set", "uncertainty.rho=2"], "uncertainty.rho=2"),
        (["--sets", "none", "--set", "uncertainty.rho=0.1"], "none of the runs has it"),
        (["--part", "battles", "--mixers", "qtran"], "battles have no qtran"),
        (["--part", "climate", "battles", "--sets", "group_dr"], "battles have no qtran"),
        (["--part", "battles", "--set", "logger=tensorboard"], "battles are read from logger=csv"),
        (["--set", "optim.learning_rate=1"], "learning_rate"),
        (["--set", "env.num_envs=2.5"], "--set env.num_envs=2.5: Value '2.5' of type 'float'"),
        (["--set", "mixer=qmix"], "--set mixer=qmix: the plan itself sets"),
        (["--set", "optim={gamma: 0.5}"], "the plan itself sets"),
        (["--set", "+evaluation={seed: 5}"], "the plan itself sets"),
    ],
)
def test_bad_input_is_refused_before_anything_is_written(
    words, told, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        main(["reproduce", *words])
    assert told in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_runs_have_their_folders_whatever_else_is_asked_for():
    """So that a folder which was begun with fewer sets, or in another order, goes on with all."""
    for preset in ("fast", "released"):
        sets = [["tv"], ["none", "tv"], ["tv", "contamination", "none"], ["cvar", "tv"]]
        found = {}
        for some in sets:
            for job in _paper_plan.plan(Path("out"), preset, ["vdn"], some, [0], controls=True):
                for folder, cfg in job.members().items():
                    assert found.setdefault(folder, cfg) == cfg
        whole = _paper_plan.plan(
            Path("out"), preset, ["vdn"], ["none", "contamination", "tv", "cvar"], [0], True
        )
        assert set(found) == {folder for job in whole for folder in job.members()}
        assert len({str(cfg) for cfg in found.values()}) == len(found), "no run is there twice"


def test_battles_are_one_job_for_each_run():
    jobs = _paper_plan.plan_battles(Path("out"), ["vdn", "qmix"], ["none", "tv"], range(2), [])
    assert len(jobs) == 8 and len({folder for job in jobs for folder in job.members()}) == 8
    assert not any(job.is_stack for job in jobs)


def test_parts_name_suites_that_there_are_and_the_packages_of_these():
    assert reproduce.PACKAGES["buildings"] == tuple(BuildingTask.packages)
    assert reproduce.PACKAGES["battles"] == tuple(SMAXTask.packages)
    for part, suites in reproduce.PARTS.items():
        task = SMAXTask if part == "battles" else BuildingTask
        assert set(suites) <= set(task.suites)


def test_fields_of_sets_and_mixers_are_those_of_the_runs_that_have_them():
    fields = ["uncertainty.rho=0.1", "uncertainty.joint_with_reward=false", "optim.lr=1e-4"]
    sets = ["none", "contamination", "cvar"]
    jobs = _paper_plan.plan(Path("out"), "fast", ["vdn"], sets, [0], controls=True, extra=fields)
    found = {job.label: next(iter(job.members().values())) for job in jobs}
    assert all(cfg.optim.lr == 1e-4 for cfg in found.values())
    sizes = {
        label: cfg.uncertainty.get("rho") for label, cfg in found.items() if "disc" not in label
    }
    assert sizes == {"vdn none": None, "vdn contamination": 0.1, "vdn cvar": 0.1}
    assert not found["vdn cvar"].uncertainty.joint_with_reward  # which the preset sets
    assert "vdn discount 0.891" in found  # γ(1-ρ) of that ρ


def test_the_time_that_it_takes_is_that_of_the_steps_and_processes_there_are(capsys):
    def told(*words):
        main(["reproduce", "--preset", "paper", "--mixers", "qmix", "--sets", *words, "--dry-run"])
        return capsys.readouterr().out.splitlines()[-1]

    one, half = (f"collector.total_frames={n}" for n in (1_000_000, 500_000))
    alone = "--no-controls", "--seeds", "1"
    assert "about 2 h 35 min" in told("none", *alone, "--set", one, "--jobs", "4")
    assert "about 2 h 35 min" in told("none", "tv", *alone, "--set", one, "--jobs", "2")
    assert "about 78 min" in told("none", *alone, "--set", half, "--jobs", "1")


def test_the_command_that_is_noted_makes_the_same():
    parser = argparse.ArgumentParser()
    reproduce.add_arguments(parser)
    arguments = parser.parse_args(["--part", "battles", "--seeds", "3", "--set", "compile=true"])
    words = reproduce._command(arguments).removeprefix("python -m torchrl_drigm reproduce ").split()
    noted = parser.parse_args(words)
    own, other = (of_battles(words.mixers, words.sets) for words in (arguments, noted))
    assert own == other
    assert "qtran" not in words and "group_dr" not in words and "--preset" not in words
    for name in ("part", "seeds", "episodes", "fields", "no_controls"):
        assert getattr(noted, name) == getattr(arguments, name)


def test_what_is_named_twice_is_done_once(capsys):
    words = ["--mixers", "vdn", "vdn", "--sets", "tv", "tv", "--part", "season", "season"]
    main(["reproduce", *words, "--seeds", "1", "--no-controls", "--dry-run"])
    assert "1 runs to train in 1 jobs" in capsys.readouterr().out


def test_how_far_runs_have_come_is_told_once_a_minute(monkeypatch, capsys):
    minutes = iter([0.0, 30.0, 61.0, 61.0, 100.0, 121.5, 121.5])
    monkeypatch.setattr(_reproduction.time, "monotonic", lambda: next(minutes))
    now = _reproduction._Now("vdn tv")
    for steps in range(1, 5):
        print(f"{steps} of 9 steps, 1 steps/s, about {9 - steps} s left", file=now)
        print("a table of returns", file=now)
    told = capsys.readouterr().err.splitlines()
    assert told == [f"  vdn tv: {n} of 9 steps, 1 steps/s, about {9 - n} s left" for n in (2, 4)]


def test_a_run_by_itself_tells_whose_steps_they_are_and_what_else_it_has_to_say(
    tmp_path, monkeypatch, capsys
):
    def train_run(cfg, folder):
        for line in ("1 of 9 steps, 2 steps/s", "4 of 9 steps, 2 steps/s, about 3 s left"):
            print(line, file=sys.stderr)
        print("a warning", file=sys.stderr)
        print("Trained:", folder)

    monkeypatch.setattr(_reproduction, "train_run", train_run)
    monkeypatch.setattr(_reproduction._Now, "EVERY", 0.0)
    (job,) = _paper_plan.plan_battles(tmp_path, ["vdn"], ["tv"], [3], [])
    _reproduction.run_job(job, Played(("noise_strength",), 1))
    told = capsys.readouterr()
    expected = "  battles vdn tv 3: 4 of 9 steps, 2 steps/s, about 3 s left\na warning\n"
    assert (told.out, told.err) == ("", expected)


def test_a_run_by_itself_that_diverges_leaves_the_others_alone(tmp_path, monkeypatch):
    trained = []

    def train_run(cfg, folder):
        if cfg.seed == 0:
            raise ValueError("entries that are not finite in 'predicted team value'")
        trained.append(folder)

    monkeypatch.setattr(_reproduction, "train_run", train_run)
    (job,) = _paper_plan.plan(tmp_path, "fast", ["vdn"], ["group_dr"], [0, 1], controls=False)
    (told,) = _reproduction.run_job(job, Played(("climate",), 1))
    assert told.startswith(f"{tmp_path}/vdn_group_dr/seed_0: entries that are not finite")
    assert trained == [tmp_path / "vdn_group_dr" / "seed_1"]
