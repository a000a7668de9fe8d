"""What is left of a run by `--keep policy`: the same team, nothing else, and no way to learn on."""

import shutil

import pandas as pd
import pytest
import torch

pytest.importorskip(
    "sustaingym", reason='needs sustaingym: pip install "torchrl_drigm[sustaingym]"'
)

from tests.trainers.small_building import config
from torchrl_drigm import trainers
from torchrl_drigm.__main__ import main
from torchrl_drigm.evaluation import evaluate
from torchrl_drigm.trainers import claim_run, keep_policy, load_team

pytestmark = pytest.mark.sustaingym
SUITE = [{"name": "summer", "days": (150, 200)}]


def trained(run_dir, *overrides):
    cfg = config("collector.total_frames=64", *overrides)
    torch.manual_seed(0)
    run = trainers.build(cfg, run_dir)
    run.train()
    return run


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("run")).run_dir


@pytest.fixture
def run_dir(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "run")


def content(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def played(folder):
    return evaluate(load_team(folder), suite=SUITE, episodes=2)


def size(folder):
    return sum(len(file) for file in content(folder).values())


def test_the_team_plays_as_before_and_the_rest_is_gone(run_dir, capsys):
    before, checkpoint = played(run_dir), run_dir / "checkpoint"
    others = {p: b for p, b in content(run_dir).items() if p.parts[0] != "checkpoint"}
    whole = size(checkpoint)
    main(["export", str(run_dir), "--keep", "policy"])
    pd.testing.assert_frame_equal(played(run_dir), before)
    now = {p: b for p, b in content(run_dir).items() if p.parts[0] not in ("checkpoint", ".claim")}
    assert now == {p: b for p, b in others.items() if p.parts[0] != ".claim"}
    assert {p.name.partition("-")[2] for p in (checkpoint / "components").iterdir()} == {
        "loss_module",
        "torchrl_drigm_run",
    }
    team = load_team(run_dir)
    numbers = sum(4 * x.numel() for x in (*team.parameters(), *team.buffers()))
    tensors = sum(p.stat().st_size for p in checkpoint.rglob("*.memmap"))
    assert tensors == numbers, "parameters and what is fixed: the scaling of observations, levels"
    printed = capsys.readouterr().out
    assert f"checkpoint of {size(checkpoint) / 1000:,.0f} kB, {whole / 1000:,.0f} kB" in printed


def test_it_takes_a_few_hundred_kilobytes(tmp_path):
    """In the sizes of the config that a user gets."""
    full = ["agent.hidden_size=64", "env.n_action_levels=40", "replay.size=50_000"]
    run_dir = trained(tmp_path / "run", *full).run_dir
    assert size(keep_policy(run_dir) / "checkpoint") < 400_000


def test_another_folder_leaves_the_run_as_it_is(run_dir, tmp_path):
    before = content(run_dir)
    folder = keep_policy(run_dir, tmp_path / "out" / "policy")
    assert content(run_dir) == before
    names = {path.name for path in folder.iterdir()}
    assert names - {"duration.json"} == {"config.yaml", "checkpoint"}
    assert ("duration.json" in names) == (run_dir / "duration.json").exists()
    pd.testing.assert_frame_equal(played(folder), played(run_dir))


def test_it_can_be_done_again_and_exported(run_dir, tmp_path):
    keep_policy(run_dir)
    before = content(run_dir / "checkpoint").keys()
    keep_policy(run_dir)
    assert content(run_dir / "checkpoint").keys() == before
    assert trainers.export_team(run_dir, tmp_path / "team.pt2").exists()


def test_it_cannot_be_resumed(run_dir):
    keep_policy(run_dir)
    cfg = config("collector.total_frames=128")
    with pytest.raises(ValueError, match="it holds the policy alone, as `export --keep policy`"):
        trainers.build(cfg, run_dir, run_dir / "checkpoint")


class TestRefusals:
    def check(self, run_dir, error, message, out=None):
        before = content(run_dir)
        with pytest.raises(error, match=message):
            keep_policy(run_dir, out)
        after = content(run_dir)
        assert {p: b for p, b in after.items() if p.name != ".claim"} == {
            p: b for p, b in before.items() if p.name != ".claim"
        }

    def test_a_run_that_has_not_ended(self, run_dir, tmp_path):
        (run_dir / "duration.json").write_text('{"frames": 32, "steps": 32, "seconds": 1.0}')
        self.check(run_dir, ValueError, r"has not made its collector.total_frames=64 .* resume=")
        assert keep_policy(run_dir, tmp_path / "copy").is_dir(), "a copy loses nothing"

    def test_a_run_that_is_going_on(self, run_dir):
        with claim_run(config("collector.total_frames=64"), run_dir):
            self.check(run_dir, ValueError, "belongs to a run that is going on")

    def test_a_folder_that_holds_something(self, run_dir, tmp_path):
        (tmp_path / "full").mkdir()
        (tmp_path / "full" / "notes.txt").write_text("mine")
        wrong = {"full": "is not an empty folder: name another", "full/notes.txt": "is a file"}
        for out, message in wrong.items():
            self.check(run_dir, ValueError, message, tmp_path / out)
        assert [p.name for p in (tmp_path / "full").iterdir()] == ["notes.txt"]

    def test_a_damaged_run(self, run_dir, tmp_path):
        file = next(run_dir.glob("checkpoint/components/*-loss_module/state/*.memmap"))
        file.write_bytes(file.read_bytes()[:-1])
        self.check(run_dir, ValueError, "it is damaged")
        self.check(run_dir, ValueError, "it is damaged", tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_no_run(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"no config.yaml in"):
            keep_policy(tmp_path / "nowhere")
        assert not list(tmp_path.iterdir())
