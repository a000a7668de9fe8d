"""The command that makes the paper's tables, with the networks that its authors published."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from tests.trainers.published import networks, write
from torchrl_drigm.__main__ import main
from torchrl_drigm.commands import reproduce
from torchrl_drigm.evaluation.published import published_rows

pytest.importorskip(
    "sustaingym", reason='needs sustaingym: pip install "torchrl_drigm[sustaingym]"'
)
pytestmark = pytest.mark.sustaingym

LABEL = "released TV VDN, ρ = 0.2"
NAME = "robust_vdn_g_rho_0.2_20250101_000000"


def published_below(folder, *seeds, of=0):
    """A folder of networks as the authors published them, of some seeds."""
    for seed in seeds:
        write(folder / f"results_seeds_{seed}" / NAME, networks(seed + of))
    return folder


@pytest.fixture
def published(tmp_path):
    return published_below(tmp_path / "published", 0, 1)


def play(folder, out, *words, seeds=0):
    words = ["--seeds", str(seeds), "--episodes", "1", "--jobs", "1", *words]
    words += ["--protocol", "strict", "--part", "season"]
    main(["reproduce", *words, "--published", str(folder), "--out", str(out)])


def played(out, name="season_strict_published"):
    rows = pd.read_csv(out / "results" / f"{name}.csv")
    return rows[rows["policy"] == LABEL]


def files_below(folder):
    return {path: path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def test_alone_they_make_tables_without_a_run(published, tmp_path):
    before = files_below(published)
    play(published, tmp_path / "out")
    rows = played(tmp_path / "out")
    assert len(rows) == 4 and sorted(rows["seed"].unique()) == [0, 1]
    assert not (tmp_path / "out" / "buildings").exists()
    assert files_below(published) == before


def test_beside_our_runs_they_are_rows_of_the_tables(published, tmp_path):
    out = tmp_path / "out"
    fields = "collector.total_frames=640", "agent.hidden_size=8"
    words = [word for field in fields for word in ("--set", field)]
    play(published, out, "--mixers", "vdn", "--sets", "none", *words, seeds=1)
    rows = played(out, "season_strict")
    assert set(rows["kind"]) == {"published"} and sorted(rows["seed"].unique()) == [0, 1]
    assert rows["return"].notna().all()
    assert f"{LABEL} | 2" in (out / "results" / "season_strict.md").read_text()


def test_seed_by_seed_they_are_what_they_are_at_once(published, tmp_path, monkeypatch):
    whole, apart = tmp_path / "whole", tmp_path / "apart"
    play(published, whole)
    for seed in (0, 1):
        play(published / f"results_seeds_{seed}", apart)
    assert played(apart).equals(played(whole))
    monkeypatch.chdir(published / "results_seeds_1")
    play(".", tmp_path / "here")
    assert set(played(tmp_path / "here")["seed"]) == {1}


def test_others_of_the_same_name_and_seed_are_refused(published, tmp_path, capsys):
    play(published, tmp_path / "out")
    before = files_below(tmp_path / "out")
    others = published_below(tmp_path / "others", 0, 1, of=5)
    for dry in ([], ["--dry-run"]):
        with pytest.raises(SystemExit):
            play(others, tmp_path / "out", *dry)
        error = capsys.readouterr().err
        assert f"was not played by {others}" in error and "its networks is not 'sha256:" in error
    assert files_below(tmp_path / "out") == before


def test_copies_are_one_team(published, tmp_path, capsys):
    copy = published / "results_seeds_7" / NAME
    shutil.copytree(published / "results_seeds_0" / NAME, copy)
    play(published, tmp_path / "out")
    assert f"{copy} is a copy of {published / 'results_seeds_0' / NAME}" in capsys.readouterr().err
    assert sorted(played(tmp_path / "out")["seed"].unique()) == [0, 1]


def test_two_files_of_one_team_are_in_no_table(published, tmp_path, capsys):
    """Such as those of an earlier version, which had them elsewhere."""
    out = tmp_path / "out"
    play(published, out)
    shutil.copytree(next(out.glob("published/*/seed_0")), out / "published" / "a" / "b")
    before = files_below(out)
    for dry in ([], ["--dry-run"]):
        with pytest.raises(SystemExit):
            play(published, out, *dry)
        assert f"{out}/published/a/b/evaluation_season_strict.csv is" in capsys.readouterr().err
    assert files_below(out) == before
    with pytest.raises(ValueError, match=f"are both seed 0 of '{LABEL}'"):
        published_rows(out / "published", "season_strict", pd.DataFrame(columns=["return"]))


def test_a_copy_under_another_seed_is_refused_in_a_later_command(published, tmp_path, capsys):
    out = tmp_path / "out"
    play(published / "results_seeds_0", out)
    shutil.copytree(published / "results_seeds_0" / NAME, tmp_path / "results_seeds_9" / NAME)
    with pytest.raises(SystemExit):
        play(tmp_path / "results_seeds_9", out)
    told = f"seed_0/evaluation_season_strict.csv is of the networks in {tmp_path}"
    assert told in capsys.readouterr().err


def test_teams_whose_names_come_to_one_folder_are_refused(tmp_path, capsys):
    for number, name in enumerate(("mine a", "mine_a")):
        write(tmp_path / "published" / name, networks(number))
    with pytest.raises(SystemExit):
        play(tmp_path / "published", tmp_path / "out")
    assert "are both seed 0 of 'released mine_a'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_alone_they_go_into_a_folder_of_runs_and_runs_into_theirs(published, tmp_path):
    """They have no preset and no fields."""
    out = tmp_path / "out"
    play(published, out)
    words = ["--preset", "paper", "--set", "optim.lr=1e-3", "--dry-run"]
    main(["reproduce", *words, "--episodes", "1", "--out", str(out)])
    (out / "reproduce.yaml").write_text("preset: paper\nfields: ['optim.lr=1e-3']\n")
    play(published, out, "--dry-run")


def test_a_dry_run_says_what_they_would_play(published, tmp_path, capsys):
    play(published, tmp_path / "out", "--dry-run")
    told = capsys.readouterr().out
    assert told.count(LABEL) == 2 and "seed 1: 1 suites to play" in told
    assert not (tmp_path / "out").exists()


def test_cut_results_are_refused_before_anything_is_played(
    published, tmp_path, capsys, monkeypatch
):
    play(published, tmp_path / "out")
    file = next(tmp_path.glob("out/published/**/evaluation_season_strict.csv"))
    whole = file.read_text()
    file.write_text(whole[: whole[:-1].rindex("\n") + 1])
    monkeypatch.setattr(reproduce, "_run", lambda *args: pytest.fail("ran"))
    with pytest.raises(SystemExit):
        play(published, tmp_path / "out")
    assert f"{file} has 0 episodes of '{LABEL}' in" in capsys.readouterr().err


def test_an_incomplete_team_is_refused_before_anything_is_trained(published, tmp_path, capsys):
    agent = next(published.rglob("agent_3_q_network.pt"))
    agent.unlink()
    with pytest.raises(SystemExit):
        play(published, tmp_path / "out", seeds=1)
    assert f"{agent.parent} lacks {agent.name}" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
