"""The command that makes the paper's tables."""

import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

from torchrl_drigm.__main__ import main
from torchrl_drigm._source import source
from torchrl_drigm.commands import _manifest, _reproduction, reproduce
from torchrl_drigm.evaluation.paper import PAPER_TABLES
from torchrl_drigm.evaluation.reproduction import report_suite, training_seconds
from torchrl_drigm.tasks import BuildingTask
from torchrl_drigm.tasks.version import environment_version
from torchrl_drigm.trainers.runs import save_duration

pytest.importorskip(
    "sustaingym", reason='needs sustaingym: pip install "torchrl_drigm[sustaingym]"'
)
pytestmark = pytest.mark.sustaingym

SMALL = ["--mixers", "vdn", "--seeds", "2", "--episodes", "1", "--jobs", "1"]
SMALL += ["--set", "collector.total_frames=640", "--set", "agent.hidden_size=8"]
SMALL += ["--set", "env.time_res=3600"]  # a day is soon over


def made(out, *words):
    main(["reproduce", *SMALL, "--part", "season", "--out", str(out), *words])


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory):
    out = tmp_path_factory.mktemp("reproduced")
    made(out, "--sets", "none", "tv")
    return out


def files_below(folder):
    return {path: path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def test_every_suite_has_a_table_of_runs_references_and_controls(reproduced):
    for suite in ("season_paper", "season_strict"):
        rows = pd.read_csv(reproduced / "results" / f"{suite}.csv")
        assert list(rows["suite"].unique()) == [suite]
        assert list(rows["shift"].unique()) == [s["name"] for s in BuildingTask.suites[suite]]
        methods = rows[rows["kind"] == "method"]
        assert sorted(methods["uncertainty"].unique()) == ["none", "tv"]
        assert (
            (methods.groupby(["policy", "shift"])["seed"].unique().map(list).map(sorted))
            .map(lambda seeds: seeds == [0, 1])
            .all()
        )
        # γ(1-ρ), and 0.95, 0.9 and 0.5 of γ: 0.7 of it is γ(1-ρ) with the preset's ρ
        controls = rows[(rows["kind"] == "control") & rows["gamma"].notna()]
        assert sorted(controls["gamma"].unique()) == [0.495, 0.693, 0.891, 0.9405]
        assert set(rows[rows["kind"] == "reference"]["policy"]) == set(BuildingTask().references)
        assert (reproduced / "results" / f"{suite}.png").stat().st_size > 10_000


def test_the_papers_numbers_stand_beside_ours(reproduced):
    text = (reproduced / "results" / "season_paper.md").read_text()
    assert text.startswith("# preset=fast: season_paper\n")
    assert f"trained at {source()}, tables made at {source()}" in text
    # two algorithms and four discounts, of two seeds each
    assert "12 runs below buildings of 640 steps each, seeds 0, 1," in text
    told = (
        "reproduce --preset fast --part season --mixers vdn --sets none tv --seeds 2 --episodes 1"
    )
    assert f"\npython -m torchrl_drigm {told} --set collector.total_frames=640 --set" in text
    for uncertainty in ("none", "tv"):
        mean, error = PAPER_TABLES["season_paper"]["vdn", uncertainty]
        assert re.search(rf"\| 2 \| {mean:.3f} ± {error:.3f} \|", text)
    assert "Beside the paper" not in (reproduced / "results" / "season_strict.md").read_text()
    assert environment_version(["sustaingym"]) in text


def test_a_second_time_nothing_is_trained_or_played(reproduced, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("trained or played")

    for name in ("evaluate_all", "train_run"):
        monkeypatch.setattr(_reproduction, name, refuse)
    before = files_below(reproduced / "buildings")
    made(reproduced, "--sets", "none", "tv")
    assert files_below(reproduced / "buildings") == before


def test_what_was_stopped_goes_on(reproduced, tmp_path, monkeypatch):
    """Stopped after the second run was played once: the rest is as of a whole one."""
    calls = []
    whole = _reproduction.play_run

    def play_run(folder, cfg, played):
        if len(calls) == 1:
            raise KeyboardInterrupt
        calls.append(folder)
        whole(folder, cfg, played)

    monkeypatch.setattr(_reproduction, "play_run", play_run)
    with pytest.raises(KeyboardInterrupt):
        made(tmp_path, "--sets", "none", "--no-controls")
    monkeypatch.setattr(_reproduction, "play_run", whole)
    made(tmp_path, "--sets", "none", "--no-controls")
    own, other = (
        pd.read_csv(folder / "results" / "season_strict.csv").query("uncertainty == 'none'")
        for folder in (tmp_path, reproduced)
    )
    other = other[other["kind"] == "method"]
    pd.testing.assert_frame_equal(
        own[["seed", "shift", "return"]].reset_index(drop=True),
        other[["seed", "shift", "return"]].reset_index(drop=True),
    )


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda text: text[:-20], r"is torn \(its last line has no end\)"),
        (lambda text: text.replace("sustaingym 0.1.7", "sustaingym 0.1.6"), "another version of"),
        (lambda text: text + text.splitlines()[-1] + "\n", "has 2 episodes of"),
        # cut where a line ends: of the last policy without its last shift, or without any
        (lambda text: text[: text[:-1].rindex("\n") + 1], "has 0 episodes of .* in 'env_1 days"),
        (lambda text: "\n".join(text.splitlines()[:3]) + "\n", "has 0 episodes of 'do nothing' in"),
        (lambda text: re.sub(r",-\d+\.\d+,", ",,", text, count=1), "has empty cells"),
        (lambda text: text.replace(",return,", ",reward,"), r"lacks \['return'\]"),
        (lambda text: re.sub(r"^((?:.*\n){2}.*)\n", r"\1", text), "is torn .*Expected"),
        (lambda text: "\n", "is torn"),
        (lambda text: re.sub(r",-\d+\.\d+,", ",odd,", text, count=1), "are no finite numbers"),
        (lambda text: re.sub(r",-\d+\.\d+,", ",-inf,", text, count=1), "are no finite numbers"),
    ],
)
def test_results_that_do_not_fit_are_refused_and_stay(reproduced, change, told, capsys):
    file = next(reproduced.glob("buildings/vdn_tv/*/evaluation_season_paper.csv"))
    whole = file.read_text()
    try:
        file.write_text(change(whole))
        before = files_below(reproduced)
        with pytest.raises(SystemExit):
            made(reproduced, "--sets", "tv", "--no-controls")
        error = capsys.readouterr().err
        assert re.search(told, error) and str(file) in error and "nothing was changed" in error
        assert files_below(reproduced) == before
    finally:
        file.write_text(whole)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--episodes", "2"], "has episodes=1, and this would be episodes=2"),
        (["--preset", "paper"], "has preset='fast', and this would be preset='paper'"),
        (["--set", "collector.total_frames=1280"], "has fields=['collector.total_frames=640'"),
        (["--set", "evaluation.seed=3"], "the plan itself sets"),
    ],
)
def test_a_folder_has_one_kind_of_results(words, told, reproduced, capsys):
    before = files_below(reproduced)
    for dry in ([], ["--dry-run"]):
        with pytest.raises(SystemExit):
            made(reproduced, "--sets", "none", *words, *dry)
        error = capsys.readouterr().err
        assert told in error and ("--out" in error or "see --preset" in error)
    assert files_below(reproduced) == before


@pytest.mark.parametrize(
    ("parts", "folder"),
    [(["battles"], "battles"), (["season"], "fast"), (["season", "battles"], "fast")],
)
def test_battles_alone_have_a_folder_of_their_own(parts, folder, tmp_path, monkeypatch, capsys):
    """Their fields are others: in that of the preset they would be refused, or refuse it."""
    monkeypatch.chdir(tmp_path)
    main(["reproduce", "--part", *parts, "--mixers", "vdn", "--sets", "none", "--dry-run"])
    assert f"In {Path('runs', 'reproduce', folder)}." in capsys.readouterr().out


def test_results_of_another_version_of_the_environment_are_refused(reproduced, monkeypatch, capsys):
    monkeypatch.setattr(_manifest, "environment_version", lambda: "another")
    with pytest.raises(SystemExit):
        made(reproduced, "--sets", "none")
    assert "this would be environment='another'" in capsys.readouterr().err


def test_fields_that_change_no_result_are_the_same_folder(reproduced, monkeypatch, capsys):
    monkeypatch.setattr(reproduce, "_run", lambda *args: None)
    fields = "compile=true", "checkpoint_interval=100"
    words = [word for field in fields for word in ("--set", field)]
    made(reproduced, "--sets", "none", *words)
    assert "0 runs to train" in capsys.readouterr().out


def test_a_simulator_of_another_version_is_refused(reproduced, monkeypatch, capsys):
    others, own = _manifest.metadata.version, {"sustaingym": "0.0.1"}
    monkeypatch.setattr(_manifest.metadata, "version", lambda name: own.get(name) or others(name))
    with pytest.raises(SystemExit):
        made(reproduced, "--sets", "none")
    assert "and this would be sustaingym='0.0.1'" in capsys.readouterr().err


def test_tables_of_two_versions_of_the_environment_are_refused(reproduced, tmp_path):
    """Runs that were copied into the folder, which no plan has looked at."""
    shutil.copytree(reproduced / "buildings", tmp_path / "buildings")
    for file in tmp_path.glob("buildings/vdn_tv/seed_1/evaluation_season_paper.csv"):
        file.write_text(file.read_text().replace("sustaingym 0.1.7", "sustaingym 0.1.6"))
    with pytest.raises(ValueError, match=r"seed_1 was played in .* 0\.1\.6|0\.1\.6.*nothing was"):
        report_suite(tmp_path / "buildings", "season_paper", tmp_path / "results")
    assert not (tmp_path / "results").exists()


def test_runs_of_earlier_commands_are_told_where_the_command_stands(reproduced):
    made(reproduced, "--sets", "none", "--no-controls")
    told = "# 10 runs below are of earlier commands in the same folder\n"
    assert told in (reproduced / "results" / "season_paper.md").read_text()
    made(reproduced, "--sets", "none", "tv")
    assert told not in (reproduced / "results" / "season_paper.md").read_text()


def test_judging_runs_anew_keeps_how_long_they_were_trained_and_with_what(reproduced):
    place = reproduced / "buildings" / "vdn_none" / "seed_0"
    save_duration(place, frames=640, steps=640, seconds=7200.0, code="commit of long ago")
    noted = (place / "duration.json").read_bytes()
    (place / "evaluation.csv").unlink()
    made(reproduced, "--sets", "none", "tv")
    assert (place / "evaluation.csv").exists() and (place / "duration.json").read_bytes() == noted
    text = (reproduced / "results" / "season_paper.md").read_text()
    assert "commit of long ago" in text and "2.0 hours of training" in text


@pytest.mark.filterwarnings("ignore:Left out")
def test_what_diverged_is_in_no_table(tmp_path, capsys):
    wild = ["optim.lr=1e30", "optim.lr_end_factor=1.0", "optim.clip_norm=null"]
    wild += ["checkpoint_interval=128"]
    words = [word for field in wild for word in ("--set", field)]
    with pytest.raises(SystemExit):
        made(tmp_path, "--sets", "none", "--no-controls", *words)
    told = capsys.readouterr().err
    assert "Diverged, and in no table" in told and "vdn_none/seed_0" in told
    assert not list(tmp_path.rglob("evaluation*.csv"))


def test_hours_of_training_count_what_was_before_a_run_resumed(tmp_path):
    whole, resumed, nothing = (tmp_path / name for name in ("whole", "resumed", "nothing"))
    for folder, steps, seconds in ((whole, 100, 60.0), (resumed, 25, 20.0)):
        folder.mkdir(parents=True)
        save_duration(folder, frames=100, steps=steps, seconds=seconds, code="x")
    assert training_seconds([whole, resumed, nothing]) == 60.0 + 4 * 20.0


@pytest.mark.smax
def test_battles_are_trained_played_and_told(tmp_path, monkeypatch):
    pytest.importorskip("jaxmarl", reason='needs jaxmarl: pip install "torchrl_drigm[smax]"')
    monkeypatch.setitem(reproduce.PARTS, "battles", ("noise",))  # of two shifts: JAX compiles each
    words = ["--part", "battles", "--mixers", "vdn", "--sets", "none", "--seeds", "2"]
    # four battles at a time, as in small_battles: compiled once for all
    small = "env.num_envs=4", "env.test_envs=4", "agent.hidden_size=4", "optim.updates_per_batch=1"
    small += "collector.frames_per_batch=64", "collector.total_frames=64", "evaluation.num_envs=4"
    words += [word for field in small for word in ("--set", field)]
    main(["reproduce", *words, "--episodes", "4", "--jobs", "1", "--out", str(tmp_path)])
    table = pd.read_csv(tmp_path / "results" / "noise.csv")
    assert list(table["shift"]) == ["clean", "noisy"] * 2 and set(table["seed"]) == {0, 1}
    assert {p.name for p in (tmp_path / "results").glob("*.png")} >= {"noise.png", "win_rates.png"}
