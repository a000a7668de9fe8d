"""A checkpoint's folder is whole on disk at every moment, and nothing else stays there."""

import os
import shutil
from pathlib import Path

import pytest

from tests.trainers.small_checkpoint import Numbers, load
from torchrl_drigm.trainers import RunCheckpoint
from torchrl_drigm.trainers.checkpoint_folder import find_checkpoint, recover


def content(folder):
    """Every file's bytes and time of writing."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def test_loading_writes_nothing(tmp_path):
    path = RunCheckpoint(numbers=Numbers(5), info={"a": [1, "b"]}).save(tmp_path / "checkpoint")
    before = content(tmp_path)
    assert load(path) == 5
    assert content(tmp_path) == before
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint"]


def test_a_state_that_would_be_refused_is_not_saved(tmp_path):
    RunCheckpoint(numbers=Numbers(5)).save(tmp_path / "checkpoint")
    odd = Numbers(6)
    odd.state_dict = lambda: {"value": {1, 2}}
    with pytest.raises(ValueError, match="a value of the kind 'set', which no torchrl_drigm run"):
        RunCheckpoint(numbers=odd).save(tmp_path / "checkpoint")
    assert load(tmp_path / "checkpoint") == 5
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint"]


class TestKilledSaves:
    def states(self, tmp_path, monkeypatch, first=True):
        """The folder as a kill leaves it, before and after each step of the second save."""
        run, states = tmp_path / "run", tmp_path / "states"
        run.mkdir()
        if first:
            RunCheckpoint(numbers=Numbers(1)).save(run / "checkpoint")

        def keep():
            shutil.copytree(run, states / f"{len(list(states.glob('*'))):02d}")

        states.mkdir()
        for module, name in [(os, "replace"), (os, "rename"), (shutil, "rmtree"), (Path, "mkdir")]:
            step = getattr(module, name)

            def stepped(*args, _step=step, **kwargs):
                keep()
                result = _step(*args, **kwargs)
                keep()
                return result

            monkeypatch.setattr(module, name, stepped)
        RunCheckpoint(numbers=Numbers(2)).save(run / "checkpoint")
        monkeypatch.undo()
        found = sorted(states.iterdir())
        assert len(found) >= 10
        return found

    def test_leave_a_whole_checkpoint_and_the_next_one_clears_up(self, tmp_path, monkeypatch):
        seen, moved = set(), 0
        for state in self.states(tmp_path, monkeypatch):
            moved += not (state / "checkpoint").exists()
            before = content(state)
            seen.add(load(state / "checkpoint"))
            assert content(state) == before, "reading puts nothing right: another may be saving"
            again = tmp_path / f"again_{state.name}"
            shutil.copytree(state, again)
            recover(again / "checkpoint")
            assert load(again / "checkpoint") in (1, 2)
            assert [file.name for file in again.iterdir()] == ["checkpoint"]
            RunCheckpoint(numbers=Numbers(3)).save(state / "checkpoint")
            assert load(state / "checkpoint") == 3
            assert [file.name for file in state.iterdir()] == ["checkpoint"]
        assert seen == {1, 2} and moved, "between the two renames there is none in its place"

    def test_of_a_first_checkpoint_leave_none_or_a_whole_one(self, tmp_path, monkeypatch):
        found = []
        for state in self.states(tmp_path, monkeypatch, first=False):
            try:
                found.append(load(state / "checkpoint"))
            except FileNotFoundError:
                found.append(None)
            recover(state / "checkpoint")
            assert {file.name for file in state.iterdir()} <= {"checkpoint"}
        assert set(found) == {None, 2}

    @pytest.mark.parametrize("call", range(4))
    def test_a_save_that_fails_leaves_the_last_one(self, tmp_path, monkeypatch, call):
        path = RunCheckpoint(numbers=Numbers(1)).save(tmp_path / "checkpoint")
        replace, calls = os.replace, []

        def failing(*args):
            calls.append(args)
            if len(calls) == call + 2:
                raise OSError("no space left on device")
            return replace(*args)

        monkeypatch.setattr(os, "replace", failing)
        with pytest.raises(OSError, match="no space"):
            RunCheckpoint(numbers=Numbers(2)).save(path)
        monkeypatch.undo()
        assert load(path) in (1, 2)
        assert [file.name for file in tmp_path.iterdir()] == ["checkpoint"]


def test_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match="name the 'checkpoint' folder of a run"):
        find_checkpoint(tmp_path / "nothing")
