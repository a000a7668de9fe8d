"""The command that makes the paper's tables."""

import re
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.trainers.published import networks, write
from torchrl_drigm.__main__ import main
from torchrl_drigm._source import source
from torchrl_drigm.commands import _manifest, _paper_plan, _reproduction, reproduce
from torchrl_drigm.evaluation.paper import PAPER_TABLES
from torchrl_drigm.tasks import BuildingTask, SMAXTask
from torchrl_drigm.tasks.version import environment_version
from torchrl_drigm.trainers.runs import save_duration

pytest.importorskip(
    "sustaingym", reason='needs sustaingym: pip install "torchrl_drigm[sustaingym]"'
)
pytestmark = pytest.mark.sustaingym

SMALL = ["--mixers", "vdn", "--seeds", "2", "--episodes", "1", "--jobs", "1"]
SMALL += ["--set", "collector.total_frames=640", "--set", "agent.hidden_size=8"]


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
    assert f"trained at {source()}, tables made at {source()}" in text
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


def test_dry_run_says_what_would_be_done_and_writes_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    main(["reproduce", "--seeds", "3", "--preset", "paper", "--jobs", "2", "--dry-run"])
    told = capsys.readouterr().out
    assert "qtran group_dr" in told and "3 of 3 runs to train" in told
    # 3 mixers x (5 sets + the discounts that are not γ itself: 0.95, 0.9, 0.7 and 0.5 of it, and
    # γ(1-ρ) of ρ = 0.02 and 0.2), 3 seeds
    assert "99 runs to train" in told and "2 at a time" in told
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda text: text[:-20], "is torn: its last line has no end"),
        (lambda text: text.replace("sustaingym 0.1.7", "sustaingym 0.1.6"), "another version of"),
        (lambda text: text + text.splitlines()[-1] + "\n", "has 2 episodes of"),
        (lambda text: text.replace(",return,", ",reward,"), r"lacks \['return'\]"),
    ],
)
def test_results_that_do_not_fit_are_refused_and_stay(reproduced, change, told, capsys):
    file = next(reproduced.glob("buildings/vdn_tv/*/evaluation_season_paper.csv"))
    whole = file.read_text()
    try:
        file.write_text(change(whole))
        before = files_below(reproduced)
        with pytest.raises(SystemExit):
            made(reproduced, "--sets", "none", "tv")
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
    ],
)
def test_a_folder_has_one_kind_of_results(words, told, reproduced, capsys):
    before = files_below(reproduced)
    for dry in ([], ["--dry-run"]):
        with pytest.raises(SystemExit):
            made(reproduced, "--sets", "none", *words, *dry)
        error = capsys.readouterr().err
        assert told in error and "--out" in error
    assert files_below(reproduced) == before


def test_results_of_another_version_of_the_environment_are_refused(reproduced, monkeypatch, capsys):
    monkeypatch.setattr(_manifest, "environment_version", lambda: "another")
    with pytest.raises(SystemExit):
        made(reproduced, "--sets", "none")
    assert "this would be environment='another'" in capsys.readouterr().err


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


def test_controls_of_a_preset_that_trains_a_set_otherwise_train_so_too():
    sets = ["none", "contamination", "tv"]
    jobs = _paper_plan.plan(Path("out"), "released", ["qmix"], sets, [0], controls=True)
    (robust,) = (job for job in jobs if job.label == "qmix tv")
    fields = ("updates_per_batch", "dual_first", "gamma")
    values = {
        tuple(getattr(cfg.optim, field) for field in fields)
        for job in jobs
        if "discount1" in job.label
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
        (["--part", "battles", "--mixers", "qtran"], "battles have no qtran"),
        (["--part", "battles", "--set", "logger=tensorboard"], "battles are read from logger=csv"),
        (["--set", "optim.learning_rate=1"], "learning_rate"),
        (["--set", "mixer=qmix"], "--set mixer=qmix: the plan itself sets"),
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


def test_battles_are_one_job_for_each_run():
    jobs = _paper_plan.plan_battles(Path("out"), ["vdn", "qmix"], ["none", "tv"], range(2), [])
    assert len(jobs) == 8 and len({folder for job in jobs for folder in job.members()}) == 8
    assert not any(job.is_stack for job in jobs)


def test_parts_name_suites_that_there_are():
    for part, suites in reproduce.PARTS.items():
        task = SMAXTask if part == "battles" else BuildingTask
        assert set(suites) <= set(task.suites)


def test_hours_of_training_count_what_was_before_a_run_resumed(tmp_path):
    (job,) = _paper_plan.plan(tmp_path, "fast", ["vdn"], ["none"], [0, 1, 2], controls=False)
    whole, resumed, _ = job.members()  # the third noted nothing
    for folder, steps, seconds in ((whole, 100, 60.0), (resumed, 25, 20.0)):
        folder.mkdir(parents=True)
        save_duration(folder, frames=100, steps=steps, seconds=seconds, code="x")
    played = _reproduction.Played(("climate",), 1)
    assert reproduce._trained([(job, played)]) == 60.0 + 4 * 20.0


@pytest.mark.smax
def test_battles_are_trained_played_and_told(tmp_path, monkeypatch):
    pytest.importorskip("jaxmarl", reason='needs jaxmarl: pip install "torchrl_drigm[smax]"')
    monkeypatch.setitem(reproduce.PARTS, "battles", ("noise",))  # of two shifts: JAX compiles each
    words = ["--part", "battles", "--mixers", "vdn", "--sets", "none", "--seeds", "2"]
    small = "env.num_envs=2", "env.test_envs=2", "agent.hidden_size=4", "optim.updates_per_batch=1"
    small += "collector.frames_per_batch=64", "collector.total_frames=64", "evaluation.num_envs=2"
    words += [word for field in small for word in ("--set", field)]
    main(["reproduce", *words, "--episodes", "2", "--jobs", "1", "--out", str(tmp_path)])
    table = pd.read_csv(tmp_path / "results" / "noise.csv")
    assert list(table["shift"]) == ["clean", "noisy"] * 2 and set(table["seed"]) == {0, 1}
    assert {p.name for p in (tmp_path / "results").glob("*.png")} >= {"noise.png", "win_rates.png"}


@pytest.fixture
def published(tmp_path):
    """A folder of networks as the authors published them, of two seeds."""
    for seed in (0, 1):
        place = tmp_path / f"results_seeds_{seed}" / "robust_vdn_g_rho_0.2_20250101_000000"
        write(place, networks(seed))
    return tmp_path


def test_published_networks_are_rows_of_the_tables(reproduced, published, tmp_path):
    before = files_below(published)
    made(reproduced, "--sets", "none", "tv", "--published", str(published))
    assert files_below(published) == before
    rows = pd.read_csv(reproduced / "results" / "season_strict.csv")
    own = rows[rows["kind"] == "published"]
    assert set(own["policy"]) == {"released TV VDN, ρ = 0.2"}
    assert sorted(own["seed"].unique()) == [0, 1] and own["return"].notna().all()
    assert (
        "released TV VDN, ρ = 0.2 | 2" in (reproduced / "results" / "season_strict.md").read_text()
    )


def test_published_networks_alone(published, tmp_path):
    out = tmp_path / "out"
    words = ["--seeds", "0", "--episodes", "1", "--jobs", "1", "--protocol", "strict"]
    main(
        ["reproduce", *words, "--part", "season", "--published", str(published), "--out", str(out)]
    )
    rows = pd.read_csv(out / "results" / "season_strict_published.csv")
    assert len(rows) == 4 and not (out / "buildings").exists()


def test_an_incomplete_team_is_refused_before_anything_is_trained(published, tmp_path, capsys):
    agent = next(published.rglob("agent_3_q_network.pt"))
    agent.unlink()
    with pytest.raises(SystemExit):
        made(tmp_path / "out", "--sets", "none", "--published", str(published))
    assert f"{agent.parent} lacks {agent.name}" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


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
    _reproduction.run_job(job, _reproduction.Played(("noise_strength",), 1))
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
    (told,) = _reproduction.run_job(job, _reproduction.Played(("climate",), 1))
    assert told.startswith(f"{tmp_path}/vdn_group_dr/seed_0: entries that are not finite")
    assert trained == [tmp_path / "vdn_group_dr" / "seed_1"]
