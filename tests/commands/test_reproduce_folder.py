"""What the command that makes the paper's tables finds in its folder: it fits, or it is refused."""

import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

from tests.commands.finished_runs import SUITES, finish, finished, rows_of
from tests.commands.small_runs import train
from torchrl_drigm.__main__ import main
from torchrl_drigm.commands._paper_plan import plan
from torchrl_drigm.config import compose_config
from torchrl_drigm.evaluation.paper import PAPER_TABLES
from torchrl_drigm.evaluation.reproduction import report_suite
from torchrl_drigm.tasks import BuildingTask
from torchrl_drigm.trainers.runs import (
    save_duration,
)

pytest.importorskip(
    "sustaingym", reason='needs sustaingym: pip install "torchrl_drigm[sustaingym]"'
)
pytestmark = pytest.mark.sustaingym

WORDS = ["--mixers", "vdn", "--seeds", "2", "--episodes", "2", "--jobs", "1", "--no-controls"]
WORDS += ["--part", "season", "--protocol", "paper"]
PUBLISHED = "released TV VDN, ρ = 0.2"


@pytest.fixture
def out(tmp_path):
    return finished(tmp_path / "out", ["none", "tv"])


def asked(out, *words, sets=("none", "tv")):
    main(["reproduce", *WORDS, "--sets", *sets, "--out", str(out), *words])


def files_below(folder):
    return {path: path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def refused(out, capsys, *words, **chosen):
    """What is said; nothing is changed, with and without a dry run."""
    before = files_below(out)
    for dry in (["--dry-run"], []):
        with pytest.raises(SystemExit) as error:
            asked(out, *words, *dry, **chosen)
        assert error.value.code == 1 and files_below(out) == before
    return capsys.readouterr().err


def lay(out, suite="season_paper", episodes=2):
    """What a published team has played."""
    cfg = compose_config("preset=released", "mixer=vdn", "uncertainty=none")
    table = rows_of(cfg, suite, episodes, [PUBLISHED])
    file = out / "published" / "tv" / "seed_0" / f"evaluation_{suite}.csv"
    file.parent.mkdir(parents=True)
    table.assign(seed=0, networks="sha256:0").to_csv(file, index=False)
    return file


def added(out, kind, preset="fast", episodes=2, name=None, fields=()):
    """A run of another set beside those that are asked for."""
    extra = [f"evaluation.episodes={episodes}", *fields]
    (job,) = plan(out / "buildings", preset, ["vdn"], [kind], [0], False, extra)
    ((folder, cfg),) = job.members().items()
    folder = folder if name is None else folder.parent / name
    finish(folder, cfg, episodes)
    return folder


class TestRunsOfNoCommandAskedFor:
    def test_those_of_an_earlier_command_are_in_the_tables(self, out):
        lay(out)
        asked(added(out, "cvar").parents[2], sets=["none"])
        rows = pd.read_csv(out / "results" / "season_paper.csv")
        policies = set(rows[rows["kind"] == "method"]["policy"])
        assert {policy.split(",")[0] for policy in policies} == {
            *("nominal VDN", "TV VDN", "CVaR VDN")
        }
        text = (out / "results" / "season_paper.md").read_text()
        assert "# 3 runs below are of earlier commands in the same folder\n" in text
        assert f"\n| {PUBLISHED} | 1 |" in text

    @pytest.mark.parametrize(
        ("other", "told"),
        [
            ({"kind": "cvar", "episodes": 5}, "5 episodes of 'CVaR VDN"),
            ({"kind": "tv", "preset": "paper"}, "holds another run. Differing: "),
            ({"kind": "cvar", "name": "mine"}, "is no run of this reproduction"),
            (
                {"kind": "cvar", "fields": ["collector.total_frames=640"]},
                "is of 640 steps, and those of this command are of 80,000",
            ),
        ],
    )
    def test_others_are_refused_by_name(self, tmp_path, other, told, capsys):
        out = finished(tmp_path / "out", ["none"])
        folder = added(out, **other)
        error = refused(out, capsys, sets=["none"])
        assert told in error and str(folder) in error

    def test_controls_in_the_folder_of_a_robust_run_may_be_there(self, out, capsys):
        added(out, "none", name="seed_0/controls/gamma_0.7")
        asked(out, "--dry-run")
        assert "0 runs to train" in capsys.readouterr().out

    @pytest.mark.parametrize("suite", SUITES[:1])
    def test_torn_results_of_one_are_refused(self, out, suite, capsys):
        file = out / "buildings" / "vdn_tv" / "seed_1" / f"evaluation_{suite}.csv"
        file.write_text(file.read_text()[:-30])
        error = refused(out, capsys, sets=["none"])
        assert f"{file} is torn" in error


class TestResults:
    def test_of_another_team_are_refused(self, out, capsys):
        name = "evaluation_season_paper.csv"
        tv, none = (out / "buildings" / f"vdn_{kind}" / "seed_0" for kind in ("tv", "none"))
        shutil.copy(tv / name, none / name)
        error = refused(out, capsys)
        assert f"{none / name} is of policy 'TV VDN', and not of 'nominal VDN'" in error

    def test_of_another_suite_are_refused(self, out, capsys):
        file = out / "buildings" / "vdn_tv" / "seed_0" / "evaluation_season_paper.csv"
        file.write_text(file.read_text().replace("season_paper", "season_strict"))
        error = refused(out, capsys)
        assert f"{file} is of suite 'season_strict', and not of 'season_paper'" in error

    def test_of_nobody_knows_which_run_are_refused(self, out, capsys):
        folder = out / "buildings" / "vdn_tv" / "seed_1"
        (folder / "config.yaml").unlink()
        error = refused(out, capsys)
        assert f"{folder / 'evaluation.csv'} has no config.yaml beside it" in error

    def test_beside_the_paper_stand_the_algorithms_alone_and_the_shift_that_was_not_trained_in(
        self, out
    ):
        for kind, shift in (("none", -1), ("tv", -2)):  # in which order rows come tells nothing
            for file in (out / "buildings" / f"vdn_{kind}").rglob("evaluation_season_paper.csv"):
                rows = pd.read_csv(file)
                last = rows["shift"] == list(rows["shift"].unique())[shift]
                pd.concat([rows[last], rows[~last]]).to_csv(file, index=False)
        report_suite(out / "buildings", "season_paper", out / "results")
        rows = pd.read_csv(out / "results" / "season_paper.csv")
        tested = rows[rows["shift"] == BuildingTask.suites["season_paper"][-1]["name"]]
        text = (out / "results" / "season_paper.md").read_text()
        table = text.partition("## Beside the paper\n")[2].partition("\n##")[0]
        lines = [line for line in table.splitlines() if line.startswith("|")][2:]
        expected = []
        for policy, kind in (("TV VDN", "tv"), ("nominal VDN", "none")):
            own = tested[tested["policy"].str.startswith(policy)]["normalized_return"]
            paper, error = PAPER_TABLES["season_paper"]["vdn", kind]
            apart = (own.mean() - paper) / (own.sem() ** 2 + error**2) ** 0.5
            numbers = f"{own.mean():.3f} ± {own.sem():.3f} | 2 | {paper:.3f} ± {error:.3f}"
            expected.append((policy, f"| {numbers} | {apart:+.1f} |"))
        assert len(lines) == len(expected)
        for line, (policy, numbers) in zip(lines, expected, strict=True):
            assert line.startswith(f"| {policy}") and line.endswith(numbers)

    @pytest.mark.parametrize("name", ["results", "buildings", "published"])
    def test_a_file_where_a_folder_has_to_be_is_refused(self, name, tmp_path, capsys):
        (tmp_path / name).write_text("")
        assert f"{tmp_path / name} is a file where a folder is needed" in refused(tmp_path, capsys)


class TestPublished:
    """Whatever lies where published networks' results do is in every table."""

    @pytest.mark.parametrize(
        ("change", "told"),
        [
            (lambda text: text[: text[:-1].rindex("\n") + 1], "has 1 episodes of 'released TV VDN"),
            (lambda text: text[:-9], "is torn"),
            (lambda text: "", "is torn"),
            (lambda text: re.sub(r".*days 36.*\n", "", text), "has 0 episodes of 'released TV VDN"),
            (lambda text: text.replace("sustaingym 0.1.7", "sustaingym 0.1.6"), "another version"),
        ],
    )
    def test_others_are_refused(self, out, change, told, capsys):
        file = lay(out)
        file.write_text(change(file.read_text()))
        error = refused(out, capsys)
        assert told in error and str(file) in error

    def test_those_of_no_suite_are_refused(self, out, capsys):
        file = lay(out)
        file = file.rename(file.with_name("evaluation_seasons.csv"))
        assert f"{file} is of no suite that buildings have" in refused(out, capsys)


class TestTime:
    def told(self, out, capsys, *words, **chosen):
        capsys.readouterr()
        asked(out, *words, "--dry-run", **chosen)
        return capsys.readouterr().out

    def test_suites_that_wait_are_counted(self, out, capsys):
        told = self.told(out, capsys, "--part", "season", "physics", "--jobs", "2")
        shifts = len(BuildingTask.suites["physics"])
        assert "0 of 2 runs to train, 2 suites to play" in told
        assert "suites to play 4 times in all" in told
        assert f"about {4 * shifts * 0.6 / 2:.0f} s" in told

    def test_it_is_no_less_than_that_of_the_longest_job(self, capsys):
        def minutes(*parts):
            words = ["--part", *parts, "--mixers", "vdn", "--sets", "none", "--no-controls"]
            main(["reproduce", *words, "--seeds", "1", "--jobs", "2", "--dry-run"])
            return int(re.search(r"about (\d+) min", capsys.readouterr().out)[1])

        assert minutes("battles", "season") >= minutes("battles") > 20

    def test_steps_that_were_made_are_not_counted(self, tmp_path, capsys, monkeypatch):
        monkeypatch.setattr(
            "torchrl_drigm.commands._reproduce_work.locate_run", lambda cfg, run: (run, run)
        )
        words = ["--preset", "paper", "--seeds", "1"]
        whole = self.told(tmp_path, capsys, *words, sets=["none"]).splitlines()[-1]
        folder = tmp_path / "buildings" / "vdn_none" / "seed_0"
        folder.mkdir(parents=True)
        save_duration(folder, frames=162_800, steps=1, seconds=1.0, code="x")
        left = self.told(tmp_path, capsys, *words, sets=["none"]).splitlines()[-1]
        assert "about 27 min" in whole and "about 2 min" in left


def test_a_run_that_trains_on_keeps_no_results_of_its_shorter_self(tmp_path):
    train(tmp_path)
    results, played = (tmp_path / f"evaluation{suite}.csv" for suite in ("", "_somewhere"))
    shutil.copy(results, played)
    train(tmp_path, "evaluation.seed=3")  # judged anew, and no other team
    assert played.exists()
    train(tmp_path, "collector.total_frames=64")
    assert results.exists() and not played.exists()


def test_what_makes_no_difference_may_differ_and_no_map(tmp_path, capsys):
    words = ["reproduce", "--part", "battles", "--mixers", "vdn", "--sets", "none", "--dry-run"]
    (tmp_path / "reproduce.yaml").write_text("fields: []\n")
    words += ["--out", str(tmp_path), "--set"]
    main([*words, "compile=true"])
    for field in ("map_name=3m", "env.map_name=3m"):
        with pytest.raises(SystemExit):
            main([*words, field])
        assert f"has fields=[], and this would be fields=['{field}']" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--set", "+stack.optim.lr=[0.1,0.2]"], "it is a field of no run"),
        (["--set", "hydra.run.dir=/tmp/x"], "it is a field of no run"),
        (["--part", "battles", "--preset", "released"], "--part battles has one preset, its own"),
        (["--part", "battles", "season", "--mixers", "qtran"], "Leave battles out of --part"),
    ],
)
def test_what_would_be_another_plan_is_refused(words, told, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["reproduce", *words, "--out", str(tmp_path), "--dry-run"])
    assert told in capsys.readouterr().err
