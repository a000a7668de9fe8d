"""A run that cannot go on is refused before PyTorch is imported; one that can makes no folder."""

import json
import os

import pytest
import torch

from tests.commands.small_runs import SMALL, State, save, train
from tests.commands.test_refusals import TOLD, refused
from tests.cpu_time import ROOT, run_python
from torchrl_drigm.config import compose_config
from torchrl_drigm.trainers import RunCheckpoint, keep_policy
from torchrl_drigm.trainers.checkpoint_files import seal_folder
from torchrl_drigm.trainers.runs import RUN, SIZES, run_identity, save_config, save_duration


@pytest.fixture
def run_dir(tmp_path):
    return save(tmp_path / "run", compose_config())


@pytest.mark.parametrize(
    ("frames", "words", "message"),
    [
        (640, ["collector.total_frames=320"], "it has 640 steps behind it already, more than col"),
        (
            None,
            [],
            "run/checkpoint: it holds the policy alone, as `export --keep policy` leaves it",
        ),
    ],
)
def test_in_two_seconds_without_pytorch_and_without_a_folder(frames, words, message, tmp_path):
    save(tmp_path / "run", compose_config(), frames)
    before = sorted(tmp_path.rglob("*"))
    done = run_python("-c", TOLD, "train", "building", "resume=run", *words, cwd=tmp_path)
    told, imported = done.err.strip().rsplit("\n", 1)
    assert told.startswith("resume=run: cannot resume from run/checkpoint: ") and message in told
    assert (done.code, done.out, imported) == (1, "", "False")
    assert done.seconds < 2
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("field", ["resume", "hydra.run.dir"])
class TestRefused:
    def test_fewer_steps_than_were_made(self, run_dir, field):
        words = f"{field}={run_dir}", "collector.total_frames=639"
        assert len(refused(words[0], "collector.total_frames=640")) == 1
        # the last batch of 64 steps is a whole one
        assert len(refused(words[0], "collector.total_frames=577")) == 1
        with pytest.raises(ValueError, match=r"640 steps behind it already, .*total_frames=576"):
            refused(words[0], "collector.total_frames=576")

    def test_a_batch_has_as_many_steps_of_each_copy(self, tmp_path, field):
        save(tmp_path, compose_config("env.num_envs=60"), frames=120)
        words = "env.num_envs=60", f"{field}={tmp_path}"  # batches of 64 steps are of 120
        assert len(refused(*words, "collector.total_frames=64")) == 1

    def test_a_policy_alone(self, tmp_path, field):
        save(tmp_path, compose_config(), frames=None)
        with pytest.raises(ValueError, match=rf"^{field}=.*it holds the policy alone"):
            refused(f"{field}={tmp_path}")

    def test_a_newer_version(self, run_dir, field):
        file = run_dir / "checkpoint" / "files.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), "version": "99.0"}))
        with pytest.raises(ValueError, match=rf"^{field}=.*Install torchrl_drigm>=99.0"):
            refused(f"{field}={run_dir}")

    def test_a_trainer_that_says_no_steps(self, tmp_path, field):
        save(tmp_path, compose_config())
        RunCheckpoint(**{RUN: run_identity(compose_config())}, trainer_state=State()).save(
            tmp_path / "checkpoint"
        )
        with pytest.raises(ValueError, match=rf"^{field}=.*it is damaged \(what it says of its"):
            refused(f"{field}={tmp_path}")

    def test_an_older_version(self, tmp_path, field):
        save(tmp_path, compose_config())
        parts = {RUN: run_identity(compose_config()), "trainer_state": State(collected_frames=0)}
        RunCheckpoint(**parts).save(tmp_path / "checkpoint")
        with pytest.raises(ValueError, match=rf"^{field}=.*written by an earlier version"):
            refused(f"{field}={tmp_path}")

    def test_a_header_that_is_none(self, run_dir, field):
        (state,) = run_dir.glob("checkpoint/components/*-trainer_state/state.json")
        state.write_text(json.dumps({"kind": "value", "value": 640}))
        seal_folder(run_dir / "checkpoint")
        with pytest.raises(ValueError, match=rf"^{field}=.*it is damaged \(what it says of its"):
            refused(f"{field}={run_dir}")

    @pytest.mark.parametrize(
        ("name", "damage"),
        [
            ("files.json", b"{"),
            ("manifest.json", b""),
            ("tensor_00000000.memmap", b"\0" * 35),
            ("tensor_00000000.memmap", b"\xff" * 36),  # as many bytes as nine numbers have
        ],
        ids=["list cut", "manifest empty", "numbers cut", "numbers changed"],
    )
    def test_a_damaged_file(self, tmp_path, field, name, damage):
        parts = {"trainer_state": State(collected_frames=640), "net": State(w=torch.ones(9))}
        identity = {**run_identity(compose_config()), SIZES: {"n_agents": 6}}
        RunCheckpoint(**{RUN: identity}, **parts).save(tmp_path / "checkpoint")
        save_config(compose_config(), tmp_path)
        assert len(refused(f"{field}={tmp_path}")) == 1
        (file,) = (tmp_path / "checkpoint").rglob(name)
        file.write_bytes(damage)
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(ValueError, match=rf"^{field}=.*damaged \(.*{name}.*Take another copy"):
            refused(f"{field}={tmp_path}")
        assert sorted(tmp_path.rglob("*")) == before

    def test_what_is_no_checkpoint(self, run_dir, field):
        (run_dir / "checkpoint" / "files.json").unlink()
        with pytest.raises(ValueError, match=rf"^{field}=.*wrote no files.json"):
            refused(f"{field}={run_dir}")


def test_a_stack_is_looked_at_member_by_member(tmp_path):
    words = "+stack.runs=2", f"hydra.run.dir={tmp_path}"
    for seed in (0, 1):
        save(tmp_path / f"seed_{seed}", compose_config(f"seed={seed}"))
    assert [cfg.seed for cfg in refused(*words)] == [0, 1]
    with pytest.raises(ValueError, match=r"cannot resume from .*/seed_0/checkpoint: it has 640 st"):
        refused(*words, "collector.total_frames=320")
    (tmp_path / "seed_1" / "checkpoint" / "manifest.json").write_text("{")
    with pytest.raises(ValueError, match=r"cannot load .*/seed_1/checkpoint: it is damaged"):
        refused(*words)


@pytest.mark.parametrize("named", [".", "./"])
def test_a_folder_without_a_name(named, run_dir, monkeypatch):
    monkeypatch.chdir(run_dir / "checkpoint")
    assert len(refused(f"resume={named}")) == 1
    monkeypatch.chdir(run_dir.parent)
    with pytest.raises(
        ValueError, match=rf"^resume={named}: cannot load .*Name the folder of a ru"
    ):
        refused(f"resume={named}")


def test_a_folder_whose_config_is_gone_goes_on_from_its_checkpoint(tmp_path):
    run = train(tmp_path / "run")
    (run / "config.yaml").unlink()
    words = [f"resume={run}", "collector.total_frames=64"]
    with pytest.raises(ValueError, match=r"another config\. Differing: optim\.gamma"):
        refused(*SMALL, *words, "optim.gamma=0.5", config="torchrl")
    train(tmp_path / "ignored", *words)
    assert (run / "config.yaml").exists() and not (tmp_path / "ignored").exists()


def test_the_folder_of_all_runs_names_the_newest(run_dir):
    with pytest.raises(ValueError, match=rf"The newest one below is {run_dir}/checkpoint"):
        refused(f"resume={run_dir.parent}")


def test_a_run_that_has_its_results_needs_nothing_to_go_on_with(tmp_path):
    save(tmp_path, compose_config(), frames=None)
    (tmp_path / "evaluation.csv").write_text("")
    assert len(refused(f"hydra.run.dir={tmp_path}")) == 1


@pytest.mark.parametrize("named", ["run", "run/checkpoint"])
def test_a_resumed_run_leaves_no_folder_but_its_own(named, python, tmp_path):
    train(tmp_path / "run")
    words = [*SMALL, "collector.total_frames=64", f"resume={named}"]
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = python("-m", "torchrl_drigm", "train", "torchrl", *words, cwd=tmp_path, PYTHONPATH=paths)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert not (tmp_path / "run" / ".hydra").exists(), "which has the overrides of the first time"
    header = (tmp_path / "run").glob("checkpoint/components/*-trainer_state/state.json")
    assert '"value":64' in next(header).read_text()


def test_what_keep_policy_leaves_is_refused(tmp_path):
    keep_policy(train(tmp_path / "run"))
    with pytest.raises(ValueError, match="it holds the policy alone"):
        refused(*SMALL, f"resume={tmp_path}/run", config="torchrl")


def test_a_run_that_is_only_judged_anew_keeps_how_long_it_was_trained(tmp_path):
    train(tmp_path)
    save_duration(tmp_path, frames=32, steps=32, seconds=7200.0, code="commit of long ago")
    noted = (tmp_path / "duration.json").read_bytes()
    (tmp_path / "evaluation.csv").unlink()
    train(tmp_path)
    assert (tmp_path / "evaluation.csv").exists()
    assert (tmp_path / "duration.json").read_bytes() == noted
