"""A run's folder: one run writes into it, and it is known whose it is."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from omegaconf import OmegaConf

from torchrl_drigm.trainers import RunCheckpoint, claim_run, is_done, locate_run, runs, save_config
from torchrl_drigm.trainers.runs import (
    differences,
    has_ended,
    read_code,
    read_duration,
    run_identity,
    save_duration,
)


def config(**changes):
    groups = ("env", "agent", "mixer", "uncertainty", "optim", "replay", "exploration", "target")
    collector = {"frames_per_batch": 16, "init_random_frames": 32, "total_frames": 100}
    cfg = {group: {"name": group} for group in groups}
    cfg |= {"collector": collector, "seed": 0, "resume": None}
    return OmegaConf.merge(cfg, OmegaConf.from_dotlist([f"{k}={v}" for k, v in changes.items()]))


class TestClaim:
    def test_a_second_run_is_refused_until_the_first_one_has_ended(self, tmp_path):
        for _ in range(2):
            with claim_run(config(), tmp_path / "run") as (folder, checkpoint):
                assert (folder, checkpoint) == (tmp_path / "run", None)
                message = rf"belongs to a run that is going on \(process {os.getpid()} on .*hydra"
                with pytest.raises(ValueError, match=message), claim_run(config(), folder):
                    raise AssertionError("claimed twice")

    def test_one_of_many_that_start_at_once_gets_the_folder(self, tmp_path):
        held, refused = [], []

        def begin(_):
            try:
                claim = claim_run(config(), tmp_path / "run")
                held.append((claim, claim.__enter__()))
            except ValueError:
                refused.append(1)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(begin, range(8)))
        assert (len(held), len(refused)) == (1, 7)
        held[0][0].__exit__(None, None, None)

    def test_a_run_that_fails_gives_its_folder_back(self, tmp_path):
        with pytest.raises(KeyError), claim_run(config(), tmp_path):
            raise KeyError
        with claim_run(config(), tmp_path):
            pass

    def test_a_killed_run_does_not_keep_its_folder(self, tmp_path):
        claim = (
            "import fcntl, signal; file = open('.claim', 'a+'); fcntl.flock(file, fcntl.LOCK_EX)"
        )
        command = [sys.executable, "-c", f"{claim}; print('claimed', flush=True); signal.pause()"]
        with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE) as other:
            assert other.stdout.readline() == b"claimed\n"
            with pytest.raises(ValueError, match="going on"), claim_run(config(), tmp_path):
                raise AssertionError("claimed twice")
            other.kill()
        with claim_run(config(), tmp_path):
            pass

    def test_a_resumed_run_claims_the_folder_of_its_checkpoint(self, tmp_path):
        path = RunCheckpoint(info={}).save(tmp_path / "first" / "checkpoint")
        cfg = config(resume=path)
        with claim_run(cfg, tmp_path / "second") as (folder, checkpoint):
            assert (folder, checkpoint) == (tmp_path / "first", path)
            assert not (tmp_path / "second").exists()
            with pytest.raises(ValueError, match="going on"), claim_run(config(), path.parent):
                raise AssertionError("claimed twice")

    def test_a_checkpoint_that_is_not_there_claims_nothing(self, tmp_path):
        cfg = config(resume=tmp_path / "nowhere" / "checkpoint")
        with (
            pytest.raises(FileNotFoundError, match=r"no checkpoint at .*nowhere"),
            claim_run(cfg, tmp_path / "run"),
        ):
            raise AssertionError("claimed")
        assert not list(tmp_path.iterdir())

    def test_a_killed_save_is_put_right(self, tmp_path):
        path = RunCheckpoint(info={"a": 1}).save(tmp_path / "checkpoint")
        saving = tmp_path / ".checkpoint.saving"
        saving.mkdir()
        path.rename(saving / "old")
        assert locate_run(config(), tmp_path) == (tmp_path, path)
        with claim_run(config(), tmp_path) as found:
            assert found == (tmp_path, path)
            assert path.exists() and not saving.exists()

    def test_without_locks_the_user_is_told(self, tmp_path, monkeypatch):
        monkeypatch.setattr(runs, "fcntl", None)
        with (
            pytest.warns(UserWarning, match=r"cannot be locked .*no other run writes there"),
            claim_run(config(), tmp_path) as (folder, _),
        ):
            assert folder == tmp_path


class TestIdentity:
    @pytest.mark.parametrize(
        ("field", "there", "here"),
        [
            ("seed", 0, 7),
            ("collector.frames_per_batch", 16, 32),
            ("collector.init_random_frames", 32, 48),
            ("optim.name", "'optim'", "'adam'"),
            ("agent.new", None, "1"),
        ],
    )
    def test_a_folder_of_another_run_is_refused(self, tmp_path, field, there, here):
        save_config(config(), tmp_path)
        before = (tmp_path / "config.yaml").read_text()
        cfg = config(**{field: here})
        message = rf"holds another run. Differing: {field}: {there} there, {here} here"
        with pytest.raises(ValueError, match=message):
            locate_run(cfg, tmp_path)
        assert (tmp_path / "config.yaml").read_text() == before

    def test_a_folder_of_something_else_is_refused(self, tmp_path):
        for text, message in [
            ("a: 1", "lacks .*'env'"),
            ("", "lacks"),
            ("seed: [", "cannot be read"),
        ]:
            (tmp_path / "config.yaml").write_text(text)
            with pytest.raises(ValueError, match=rf"(?s){message}.*damaged, or of something else"):
                locate_run(config(), tmp_path)

    def test_more_steps_are_the_same_run(self, tmp_path):
        save_config(config(), tmp_path)
        longer = config(**{"collector.total_frames": 200})
        assert locate_run(longer, tmp_path) == (tmp_path, None)
        assert not differences(run_identity(config()), run_identity(longer))

    def test_a_config_of_before_a_field_was_added_is_that_of_the_same_run(self, tmp_path):
        cfg = config(**{"uncertainty.joint_with_reward": False})
        save_config(config(), tmp_path)
        assert locate_run(cfg, tmp_path) == (tmp_path, None)
        with pytest.raises(ValueError, match="joint_with_reward: False there, True here"):
            locate_run(config(**{"uncertainty.joint_with_reward": True}), tmp_path)


class TestResults:
    @pytest.mark.parametrize(
        ("frames", "done"),
        [(100, True), (200, False), (50, False)],
        ids=["as many", "more", "fewer"],
    )
    def test_are_there_if_they_are_of_as_many_steps(self, tmp_path, frames, done):
        cfg = config(**{"collector.total_frames": frames})
        assert not is_done(cfg, tmp_path, "results.csv")
        save_config(config(), tmp_path)
        assert not is_done(cfg, tmp_path, "results.csv")
        (tmp_path / "results.csv").write_text("")
        assert is_done(cfg, tmp_path, "results.csv") == done
        assert not is_done(config(resume="x"), tmp_path, "results.csv"), "asked for by name"

    def test_of_another_evaluation_are_others(self, tmp_path):
        save_config(config(**{"evaluation.episodes": 1}), tmp_path)
        (tmp_path / "results.csv").write_text("")
        assert is_done(config(**{"evaluation.episodes": 1}), tmp_path, "results.csv")
        assert not is_done(config(**{"evaluation.episodes": 2}), tmp_path, "results.csv")

    def test_of_nobody_stay(self, tmp_path):
        (tmp_path / "results.csv").write_text("")
        assert is_done(config(), tmp_path, "results.csv")


class TestDuration:
    def test_a_run_has_ended_with_all_of_its_steps(self, tmp_path):
        assert not has_ended(config(), tmp_path, "results.csv")
        save_duration(tmp_path, frames=100, steps=40, seconds=2.5, code="commit 1a")
        assert read_code(tmp_path) == "commit 1a"
        assert read_duration(tmp_path) == {"frames": 100.0, "steps": 40.0, "seconds": 2.5}
        assert has_ended(config(), tmp_path, "results.csv")
        longer = config(**{"collector.total_frames": 200})
        (tmp_path / "results.csv").touch()  # of fewer steps
        assert not has_ended(longer, tmp_path, "results.csv")

    @pytest.mark.parametrize("text", [None, "", "[]", '{"frames": 1}', '{"frames": "a"}'])
    def test_where_it_is_not_known_results_tell(self, tmp_path, text):
        if text is not None:
            (tmp_path / "duration.json").write_text(text)
        assert read_duration(tmp_path) is None
        assert read_code(tmp_path) is None
        assert not has_ended(config(), tmp_path, "results.csv")
        (tmp_path / "results.csv").touch()
        assert has_ended(config(), tmp_path, "results.csv")


def test_a_config_is_never_half_written(tmp_path, monkeypatch):
    save_config(config(), tmp_path)
    before = (tmp_path / "config.yaml").read_text()

    def half(cfg, path):
        path.write_text("seed:")
        raise OSError("no space left on device")

    monkeypatch.setattr(OmegaConf, "save", half)
    with pytest.raises(OSError, match="no space"):
        save_config(config(seed=1), tmp_path)
    assert (tmp_path / "config.yaml").read_text() == before
    assert [file.name for file in tmp_path.iterdir()] == ["config.yaml"]
