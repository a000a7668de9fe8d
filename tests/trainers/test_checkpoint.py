"""Loading a run's checkpoint: the run itself, or a refusal that changes nothing."""

import hashlib
import json
import shutil

import pytest

pytest.importorskip(
    "sustaingym", reason='needs sustaingym: pip install "torchrl_drigm[sustaingym]"'
)

from torchrl.checkpoint import Checkpoint

from tests.trainers.small_building import build, parameters
from torchrl_drigm.trainers import RunCheckpoint, load_checkpoint
from torchrl_drigm.trainers.checkpoint_files import seal_folder

pytestmark = pytest.mark.sustaingym
SMALL = ["mixer=vdn", "uncertainty=tv"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("run")
    build(run_dir, *SMALL, "collector.total_frames=64").train()
    return run_dir / "checkpoint"


@pytest.fixture
def copied(checkpoint, tmp_path):
    return shutil.copytree(checkpoint, tmp_path / "copied")


def everything(trainer, folder):
    """A hash of all that a trainer would save of itself."""
    path = Checkpoint(**trainer.checkpoint.components).save(folder / "everything")
    (path / "manifest.json").unlink()  # it has the time
    digest = hashlib.sha256()
    for file in sorted(path.rglob("*")):
        digest.update(file.name.encode() + (file.read_bytes() if file.is_file() else b""))
    return digest.digest()


def content(folder):
    files = (file for file in sorted(folder.rglob("*")) if file.is_file())
    return {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in files}


@pytest.fixture
def trainer(tmp_path):
    trainer = build(tmp_path / "resumed", *SMALL, "collector.total_frames=128")
    before = everything(trainer, tmp_path)
    yield trainer
    assert everything(trainer, tmp_path) == before
    trainer.train()  # as able to run as before
    assert parameters(trainer).isfinite().all()


def truncate(file, checkpoint):
    file.write_bytes(file.read_bytes()[:-1])


def empty(file, checkpoint):
    file.write_bytes(b"")


def flip(file, checkpoint):
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def swap(file, checkpoint):
    """With a file of other content, of the same length where there is one."""
    data = file.read_bytes()
    others = [o for o in checkpoint.rglob("*") if o.is_file() and o.read_bytes() != data]
    other = min(others, key=lambda o: (abs(o.stat().st_size - len(data)), o))
    file.write_bytes(other.read_bytes())
    other.write_bytes(data)


def delete(file, checkpoint):
    file.unlink()


def add(file, checkpoint):
    file.with_name("another").write_bytes(b"more")


def replace_by_link(file, checkpoint):
    file.rename(checkpoint.parent / "outside")
    file.symlink_to(checkpoint.parent / "outside")


DAMAGES = [truncate, empty, swap, delete, add, replace_by_link, flip]


@pytest.mark.parametrize("damage", DAMAGES)
def test_every_damaged_file_is_found(trainer, copied, tmp_path, damage):
    files = [file for file in sorted(copied.rglob("*")) if file.is_file()]
    whole, before = content(copied), everything(trainer, tmp_path)
    assert len(files) > 100
    # a changed bit in each file; of the six other kinds of damage two in each
    for file in files if damage is flip else files[DAMAGES.index(damage) % 3 :: 3]:
        damage(file, copied)
        damaged = content(copied)
        with pytest.raises(ValueError, match=r"it is damaged|a link or a device"):
            load_checkpoint(trainer, copied)
        assert content(copied) == damaged, "nothing is written there"
        file.with_name("another").unlink(missing_ok=True)
        for changed, (data, _) in whole.items():
            if changed.is_symlink() or damaged.get(changed, (None,))[0] != data:
                changed.unlink(missing_ok=True)
                changed.write_bytes(data)
    assert everything(trainer, tmp_path) == before


def test_a_whole_one_is_loaded_and_not_touched(checkpoint, tmp_path):
    trainer = build(tmp_path, *SMALL, "collector.total_frames=128")
    before = content(checkpoint)
    load_checkpoint(trainer, checkpoint)
    assert content(checkpoint) == before
    assert trainer.collected_frames == 64


def test_what_is_filled_is_saved(checkpoint, tmp_path):
    """64 steps in a buffer of 2,000."""
    trainer = build(tmp_path, *SMALL, "collector.total_frames=64")
    trainer.train()
    assert trainer.replay_buffer.storage.max_size == 2000
    item = trainer.replay_buffer.storage[:1].bytes()
    files = checkpoint.glob("components/*-replay_buffer/**/*.memmap")
    assert sum(file.stat().st_size for file in files) == 64 * item


def test_missing(trainer, tmp_path):
    with pytest.raises(FileNotFoundError, match="name the 'checkpoint' folder of a run"):
        load_checkpoint(trainer, tmp_path / "nothing")


def test_no_checkpoint(trainer, tmp_path):
    (tmp_path / "file").write_text("no checkpoint")
    with pytest.raises(ValueError, match="it is no readable checkpoint"):
        load_checkpoint(trainer, tmp_path / "file")


def test_foreign(trainer, tmp_path):
    foreign = RunCheckpoint(info={"of": "another program"}).save(tmp_path / "foreign")
    with pytest.raises(ValueError, match="not one of a torchrl_drigm run"):
        load_checkpoint(trainer, foreign)


def test_of_another_version_of_the_format(trainer, copied):
    manifest = json.loads((copied / "manifest.json").read_text())
    (copied / "manifest.json").write_text(json.dumps({**manifest, "format_version": 2}))
    seal_folder(copied)
    with pytest.raises(ValueError, match=r"it is no readable checkpoint \(Unsupported newer"):
        load_checkpoint(trainer, copied)


def test_a_state_that_does_not_fit_is_taken_back(trainer, copied):
    """Listed as it is, made of numbers alone, and still not what the trainer can take."""
    (state,) = copied.glob("components/*-target_updater/state.json")
    state.write_text(json.dumps({"kind": "list", "items": []}))
    seal_folder(copied)
    with pytest.raises(ValueError, match=r"it is damaged .* The run is as it was before"):
        load_checkpoint(trainer, copied)


@pytest.mark.parametrize(
    ("override", "differing"),
    [
        ("agent.hidden_size=16", "agent.hidden_size: 8 there, 16 here"),
        ("uncertainty.rho=0.7", "uncertainty.rho: 0.3 there, 0.7 here"),
        ("seed=7", "seed: 0 there, 7 here"),
        ("collector.frames_per_batch=32", "collector.frames_per_batch: 16 there, 32 here"),
        ("collector.init_random_frames=48", "collector.init_random_frames: 32 there, 48 here"),
    ],
)
def test_other_config(checkpoint, tmp_path, override, differing):
    other = build(tmp_path / "other", *SMALL, override)
    with pytest.raises(ValueError, match="belongs to another config") as error:
        load_checkpoint(other, checkpoint)
    assert differing in str(error.value)


def test_a_run_that_was_stopped_after_its_last_batch_goes_on_to_its_end(checkpoint, tmp_path):
    """50 steps in batches of 16 are 64: what was left to do is judging."""
    other = build(tmp_path, *SMALL, "collector.total_frames=50")
    load_checkpoint(other, checkpoint)
    other.train()
    assert other.collected_frames == 64


def test_fewer_steps_than_were_made(checkpoint, tmp_path):
    other = build(tmp_path, *SMALL, "collector.total_frames=48")
    before = everything(other, tmp_path)
    message = r"it has 64 steps behind it already, more than collector.total_frames=48"
    with pytest.raises(ValueError, match=message):
        load_checkpoint(other, checkpoint)
    assert everything(other, tmp_path) == before
