"""The command that makes the paper's tables."""

import re
from pathlib import Path

import pandas as pd
import pytest

from tests.trainers.published import networks, write
from torchrl_drigm.__main__ import main
from torchrl_drigm._source import source
from torchrl_drigm.commands import _manifest, _reproduction, reproduce
from torchrl_drigm.evaluation.paper import PAPER_TABLES
from torchrl_drigm.evaluation.reproduction import training_seconds
from torchrl_drigm.tasks import BuildingTask
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
        (lambda text: text[:-20], "is torn: its last line has no end"),
        (lambda text: text.replace("sustaingym 0.1.7", "sustaingym 0.1.6"), "another version of"),
        (lambda text: text + text.splitlines()[-1] + "\n", "has 2 episodes of"),
        # cut where a line ends: of the last policy without its last shift, or without any
        (lambda text: text[: text[:-1].rindex("\n") + 1], "has 0 episodes of .* in 'env_1 days"),
        (lambda text: "\n".join(text.splitlines()[:3]) + "\n", "has 0 episodes of 'do nothing' in"),
        (lambda text: re.sub(r",-\d+\.\d+,", ",,", text, count=1), "has empty cells"),
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


def test_cut_results_of_published_networks_are_refused_before_anything_is_trained(
    reproduced, published, capsys, monkeypatch
):
    words = ["--sets", "none", "tv", "--published", str(published)]
    made(reproduced, *words)
    file = next(reproduced.glob("published/**/evaluation_season_paper.csv"))
    whole = file.read_text()
    monkeypatch.setattr(reproduce, "_run", lambda *args: pytest.fail("ran"))
    try:
        file.write_text(whole[: whole[:-1].rindex("\n") + 1])
        with pytest.raises(SystemExit):
            made(reproduced, *words)
        assert f"{file} has 0 episodes of 'released TV VDN, ρ = 0.2' in" in capsys.readouterr().err
    finally:
        file.write_text(whole)


def test_an_incomplete_team_is_refused_before_anything_is_trained(published, tmp_path, capsys):
    agent = next(published.rglob("agent_3_q_network.pt"))
    agent.unlink()
    with pytest.raises(SystemExit):
        made(tmp_path / "out", "--sets", "none", "--published", str(published))
    assert f"{agent.parent} lacks {agent.name}" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
