"""Evaluation from a command line: climates and days of one's own, and where the results go."""

import shutil

import pandas as pd
import pytest
import torch

pytest.importorskip(
    "sustaingym", reason='needs sustaingym: pip install "torchrl_drigm[sustaingym]"'
)

from tests.commands import small_runs
from tests.trainers.small_building import config
from torchrl_drigm import trainers
from torchrl_drigm.__main__ import main
from torchrl_drigm.commands._shifts import _climate, asked_shifts
from torchrl_drigm.evaluation import evaluate
from torchrl_drigm.tasks import BuildingTask, HarvestTask, TorchRLTask, read_suite
from torchrl_drigm.trainers import keep_policy, load_team

pytestmark = pytest.mark.sustaingym
TASK = BuildingTask(days=(0, 100))
NEW_YORK, TAMPA = ("Mixed_Humid", "NewYork"), ("Hot_Humid", "Tampa")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    cfg = config("collector.total_frames=32", "uncertainty=none")
    torch.manual_seed(0)
    run = trainers.build(cfg, tmp_path_factory.mktemp("run"))
    run.train()
    return run.run_dir


@pytest.fixture
def run_dir(whole, tmp_path, monkeypatch):
    """A run, seen from an empty folder."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return shutil.copytree(whole, tmp_path / "run")


def run(*words):
    main(["evaluate", *map(str, words), "--episodes", "2"])


class TestFiles:
    def test_they_are_in_the_runs_folder(self, run_dir, tmp_path):
        run(run_dir, "--climates", "env_6", "--days", "150:160")
        files = {path.name for path in run_dir.glob("evaluation*")}
        name = "evaluation_own_env_6_days-150-159"
        assert files == {f"{name}.csv", f"{name}.png"}
        assert not list((tmp_path / "here").iterdir())

    @pytest.mark.parametrize(
        ("out", "files"),
        [
            (
                "new/results",
                [f"new/results/evaluation_own_days-150-159.{e}" for e in ("csv", "png")],
            ),
            ("new/summer.csv", ["new/summer.csv", "new/summer.png"]),
        ],
    )
    def test_they_are_where_out_says(self, run_dir, tmp_path, out, files, capsys):
        before = set(run_dir.rglob("*"))
        run(run_dir, "--days", "150", "160", "--out", tmp_path / out)
        printed = capsys.readouterr().out
        for file in files:
            assert (tmp_path / file).stat().st_size > 100 and f"  {tmp_path / file}\n" in printed
        assert set(run_dir.rglob("*")) == before
        assert not list((tmp_path / "here").iterdir())

    def test_a_file_is_no_folder(self, run_dir, tmp_path, capsys):
        (tmp_path / "notes").write_text("mine")
        for out in ("notes", "notes/below", "notes/rows.csv"):
            with pytest.raises(SystemExit, match="1"):
                run(run_dir, "--out", tmp_path / out)
            assert f"{tmp_path / 'notes'} is a file" in capsys.readouterr().err
        with pytest.raises(SystemExit, match="1"):
            run(run_dir, "--out", shutil.copytree(run_dir, tmp_path / "folder.csv"))
        assert "name a folder without the ending .csv" in capsys.readouterr().err
        assert (tmp_path / "notes").read_text() == "mine"


def test_rows_are_those_of_the_same_suite_in_python(run_dir, tmp_path, capsys):
    run(run_dir, "--climates", "Tampa", "NewYork", "--days", "0:30", "--out", tmp_path / "out.csv")
    suite = [
        {"name": "Tampa days 0-29", "climate": TAMPA, "days": (0, 30)},
        {"name": "NewYork days 0-29", "climate": NEW_YORK, "days": (0, 30)},
    ]
    expected = evaluate(load_team(run_dir), suite=suite, episodes=2)
    rows = pd.read_csv(tmp_path / "out.csv")
    assert set(rows.pop("suite")) == {"own_Tampa_NewYork_days-0-29"}
    del expected["suite"]
    pd.testing.assert_frame_equal(rows[list(expected.columns)], expected, check_dtype=False)
    assert "Tampa days 0-29" in capsys.readouterr().out


def test_the_policy_alone_is_evaluated_as_the_run_is(run_dir, tmp_path):
    policy = keep_policy(run_dir, tmp_path / "policy")
    for folder, out in ((run_dir, "a.csv"), (policy, "b.csv")):
        run(folder, "--suite", "season_strict", "--out", tmp_path / out)
    assert (tmp_path / "a.csv").read_text() == (tmp_path / "b.csv").read_text()


class TestShifts:
    @pytest.mark.parametrize(
        ("word", "climate"),
        [
            ("env_6", NEW_YORK),
            ("Mixed_Humid", NEW_YORK),
            ("NewYork", NEW_YORK),
            ("Hot_Humid,Tampa", TAMPA),
            ("Hot_Dry,NewYork", ("Hot_Dry", "NewYork")),
            ("my/own.epw,Tampa", ("my/own.epw", "Tampa")),
        ],
    )
    def test_a_climate_has_many_names(self, word, climate):
        assert _climate(word) == {"name": word.replace(",", " "), "climate": climate}

    def test_every_climate_in_every_range_of_days(self):
        name, shifts = asked_shifts(TASK, None, ["env_1", "env_6"], ["0:30", "200:365"])
        assert name == "own_env_1_env_6_days-0-29_days-200-364"
        assert [shift["name"] for shift in shifts] == [
            *("env_1 days 0-29", "env_1 days 200-364"),
            *("env_6 days 0-29", "env_6 days 200-364"),
        ]
        assert [shift["days"] for shift in shifts] == [(0, 30), (200, 365)] * 2

    def test_other_words_are_another_name(self):
        """By which results are written, so that none replace those of other words."""
        asked = [{"climates": ["env_6"]}, {"days": ["3:9"]}, {"days": ["3:10"]}]
        asked += [{"days": [f"{i}:300" for i in range(n)]} for n in (14, 15, 16)]
        asked += [{"climates": ["Subarctic/Arctic,Fairbanks"], "suite": "sensor"}]
        names = [asked_shifts(TASK, **words)[0] for words in asked]
        assert len(set(names)) == len(names) and max(map(len, names)) < 90
        assert not any("/" in name or " " in name for name in names)

    def test_two_numbers_are_one_range(self):
        assert asked_shifts(TASK, days=["3", "9"]) == asked_shifts(TASK, days=["3:9"])

    def test_flags_stand_in_place_of_a_suites_own(self):
        name, shifts = asked_shifts(TASK, "climate", days=["200:365"])
        _, own = read_suite(TASK, "climate")
        assert name == "climate_days-200-364" and len(shifts) == 6
        for shift, before in zip(shifts, own, strict=True):
            more = {"name": f"{before['name']} days 200-364", "days": (200, 365)}
            assert shift == before | more

    def test_curves_of_two_climates_are_two(self):
        _, own = read_suite(TASK, "physics")
        _, shifts = asked_shifts(TASK, "physics", ["env_1", "env_6"])
        axes = list(dict.fromkeys(shift["axis"] for shift in shifts))
        assert len(shifts) == 2 * len(own) and len(axes) == 6
        assert axes[0] == f"{own[0]['axis']}, env_1"

    def test_without_flags_it_is_the_suite(self):
        assert asked_shifts(TASK, "sensor") == read_suite(TASK, "sensor")
        assert asked_shifts(HarvestTask()) == read_suite(HarvestTask())

    @pytest.mark.parametrize(
        ("flags", "message"),
        [
            ({"climates": ["Seattle"]}, "2 climates: name Cool_Marine,Seattle or Mixed_Marine,"),
            ({"climates": ["Paris"]}, r"Paris is none: name WEATHER,LOCATION, or one of env_1 \("),
            ({"climates": ["a,b,c"]}, "a,b,c is none: name WEATHER,LOCATION"),
            ({"days": ["150"]}, "days=150 is no range LO:HI of days of the year, such as 150:240"),
            ({"days": ["1", "2", "3"]}, "days=1 is no range"),
            ({"days": ["-5:3"]}, "days=-5:3 is no range"),
            ({"days": ["200:366"]}, r"days=\(200, 366\) must be \(lo, hi\) with 0 <= lo < hi"),
            ({"days": ["9:3"]}, "--days=9:3 has no day: LO:HI is from LO to the day before HI"),
            ({"days": ["0:9", "0:9"]}, "'days 0-8' is there twice"),
            ({"suite": "climate", "climates": ["env_6"]}, "'env_1' and 'env_2' differ in nothing"),
            ({"suite": "season_strict", "days": ["0:9"]}, "'env_1' and 'env_1 days 200-364' diff"),
        ],
    )
    def test_what_is_refused(self, flags, message):
        with pytest.raises(ValueError, match=message):
            asked_shifts(TASK, **flags)

    @pytest.mark.parametrize(
        "task", [HarvestTask(), TorchRLTask(make="tests.tasks.toys.Counting")], ids=lambda t: t.name
    )
    def test_other_tasks_have_neither_climates_nor_days(self, task):
        """Not even those that know every word."""
        for flag, words in {"climates": ["env_6"], "days": ["0:9"]}.items():
            with pytest.raises(ValueError, match=rf"--{flag}={words[0]}: the task .* --suite: "):
                asked_shifts(task, **{flag: words})


def test_a_suite_of_another_task_goes_where_out_says(tmp_path, capsys):
    folder = small_runs.train(tmp_path / "run")
    (tmp_path / "long.yaml").write_text("- {name: long, length: 5}\n")
    run(folder, "--suite", tmp_path / "long.yaml", "--out", tmp_path / "out")
    rows = pd.read_csv(tmp_path / "out" / "evaluation_long.csv")
    assert list(rows["steps"]) == [5, 5] and "long" in capsys.readouterr().out


@pytest.mark.parametrize("left", ["config", "checkpoint", "nothing"])
def test_a_folder_without_a_run_is_refused_before_anything_is_written(
    run_dir, tmp_path, capsys, left
):
    for name in {"config.yaml", "checkpoint"} - {f"{left}.yaml", left}:
        path = run_dir / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(SystemExit, match="1"):
        run(run_dir, "--days", "0:9", "--out", tmp_path / "out")
    assert ("no checkpoint at" if left == "config" else "no config.yaml in") in (
        capsys.readouterr().err
    )
    assert not (tmp_path / "out").exists()


def test_a_negative_seed_is_refused_by_name(run_dir, capsys):
    with pytest.raises(SystemExit):
        run(run_dir, "--seed", "-1")
    assert "--seed=-1 must be at least 0" in capsys.readouterr().err
