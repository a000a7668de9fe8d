"""What a run did not write as it lies there is refused before anything of it is read.

What would run code here is a pickle that makes an empty file, nothing more.
"""

import json
import pickle
import shutil
import warnings
from pathlib import Path

import pytest
from tensordict import NonTensorData, TensorDict
from torchrl.checkpoint import Checkpoint

from tests.trainers.small_checkpoint import Numbers, load
from torchrl_drigm.trainers import RunCheckpoint
from torchrl_drigm.trainers.checkpoint_files import _as_text, _digest, check_folder


class Touch:
    """Its pickle makes a file when it is read."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


@pytest.fixture
def checkpoint(tmp_path):
    return RunCheckpoint(numbers=Numbers(5), info={"a": 1}).save(tmp_path / "checkpoint")


@pytest.fixture
def marker(tmp_path):
    return tmp_path / "marker"


def seal(path):
    """Write list and manifest that fit what lies there, as whoever made it would."""
    manifest = json.loads((path / "manifest.json").read_text())
    for record in manifest["components"].values():
        folder = path / record["path"]
        files = [f.relative_to(folder).as_posix() for f in folder.rglob("*") if f.is_file()]
        record["files"] = sorted(files)
    (path / "manifest.json").write_text(json.dumps(manifest))
    names = [f.relative_to(path).as_posix() for f in sorted(path.rglob("*")) if f.is_file()]
    listed = {n: [(path / n).stat().st_size, _digest(path / n)] for n in names if n != "files.json"}
    (path / "files.json").write_text(_as_text(listed))


def edit(file, **changes):
    value = json.loads(file.read_text())
    value.update(changes)
    file.write_text(json.dumps(value))


# What is put into the folder of the component "numbers" (its "state" is tensordict's).


def a_class_with_a_pickle(component, marker):
    shutil.rmtree(component / "state")
    TensorDict().memmap(component / "state")
    edit(component / "state" / "meta.json", _type=str(NonTensorData))
    (component / "state" / "other.pickle").write_bytes(pickle.dumps({"data": Touch(marker)}))


def a_nested_class_with_a_pickle(component, marker):
    edit(component / "state" / "meta.json", extra={"type": "NonTensorData"})
    TensorDict().memmap(component / "state" / "extra")
    edit(component / "state" / "extra" / "meta.json", _type=str(NonTensorData))
    (component / "state" / "extra" / "other.pickle").write_bytes(
        pickle.dumps({"data": Touch(marker)})
    )


def a_stack_with_a_pickle(component, marker):
    stack = "<class 'tensordict.tensorclass.NonTensorStack'>"
    edit(component / "state" / "meta.json", _type=stack, data="pickle.pkl", device=None)
    (component / "state" / "pickle.pkl").write_bytes(pickle.dumps([Touch(marker)]))


ATTACKS = [a_class_with_a_pickle, a_nested_class_with_a_pickle, a_stack_with_a_pickle]


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_pickle_is_read_before_the_refusal(checkpoint, marker, attack):
    attack(checkpoint / "components" / "0001-numbers", marker)
    seal(checkpoint)
    with pytest.raises(ValueError, match=r"which no torchrl_drigm run writes. Take a checkpoint"):
        load(checkpoint)
    assert not marker.exists()
    with warnings.catch_warnings(), pytest.raises(Exception):  # noqa: B017 - anything
        warnings.simplefilter("ignore", FutureWarning)
        Checkpoint(numbers=Numbers(-1)).load(checkpoint)
    assert marker.exists(), "TorchRL's own load reads it: the attack is one"


def test_a_pickled_replay_buffer_is_refused(checkpoint, marker):
    """TorchRL's buffers unpickle a ``prefetch.pkl`` beside them."""
    component = checkpoint / "components" / "0001-numbers"
    (component / "prefetch.pkl").write_bytes(pickle.dumps(Touch(marker)))
    manifest = json.loads((checkpoint / "manifest.json").read_text())
    manifest["components"]["numbers"]["adapter"] = "torchrl.dump_load"
    (checkpoint / "manifest.json").write_text(json.dumps(manifest))
    seal(checkpoint)
    with pytest.raises(ValueError, match=r"'numbers' is in the format 'torchrl.dump_load'"):
        load(checkpoint)
    assert not marker.exists()


@pytest.mark.parametrize("name", ["state.pt", "state.tdz", "state.tdc", "state/x.pickle", "a/b"])
def test_files_of_other_formats_are_refused(checkpoint, name):
    file = checkpoint / "components" / "0001-numbers" / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"")
    seal(checkpoint)
    with pytest.raises(ValueError, match="lists other files than its format has"):
        load(checkpoint)


def test_files_of_no_component_are_refused(checkpoint):
    (checkpoint / "state.pt").write_bytes(b"")
    seal(checkpoint)
    with pytest.raises(ValueError, match=r"state.pt belong to no component"):
        load(checkpoint)


@pytest.mark.parametrize(
    "entry",
    [
        {"type": "TensorDict"},
        {"device": "cpu", "shape": [3], "dtype": "torch.float32", "is_nested": True},
        {"device": "cpu", "shape": [4], "dtype": "torch.float32", "is_nested": False},
        {"device": "cpu", "shape": [3], "dtype": "torch.float64", "is_nested": False},
        {"device": "cpu", "shape": [3], "dtype": "torch.load", "is_nested": False},
        {"device": "cpu", "shape": [-3], "dtype": "torch.float32", "is_nested": False},
        {"device": "cpu", "shape": [True], "dtype": "torch.float32", "is_nested": False},
        {"device": "cpu", "shape": [3], "dtype": "torch.float32"},
        7,
    ],
)
def test_tensors_of_another_kind_or_size_are_refused(checkpoint, entry):
    meta = checkpoint / "components" / "0001-numbers" / "state" / "meta.json"
    edit(meta, tensor_00000000=entry)
    seal(checkpoint)
    message = r"has the entry 'tensor_00000000'|of the \d+ bytes of its shape and type"
    with pytest.raises(ValueError, match=message):
        load(checkpoint)


@pytest.mark.parametrize(
    "state",
    [
        {"kind": "path", "value": "/"},
        {"kind": "dict", "items": [[{"kind": "value", "value": 1}, {"kind": "bytes"}]]},
        {"kind": "dict", "items": [7]},
        {"kind": "list", "items": 7},
        {"kind": ["dict"]},
        [],
    ],
)
def test_values_of_another_kind_are_refused(checkpoint, state):
    (checkpoint / "components" / "0001-numbers" / "state.json").write_text(json.dumps(state))
    seal(checkpoint)
    with pytest.raises(ValueError, match=r"of the kind|laid out in another way|is no JSON object"):
        load(checkpoint)


@pytest.mark.parametrize("whole_folder", [False, True], ids=["file", "folder"])
def test_links_are_refused(checkpoint, tmp_path, whole_folder):
    place = checkpoint / "components" / "0001-numbers" / "state"
    place = place if whole_folder else place / "tensor_00000000.memmap"
    outside = tmp_path / "outside"
    place.rename(outside)
    place.symlink_to(outside)
    seal(checkpoint)
    with pytest.raises(ValueError, match="is a link or a device"):
        load(checkpoint)


@pytest.mark.parametrize(
    "path", ["/components/0001-numbers", "components/../components/0001-numbers", "..", None, 3]
)
def test_paths_out_of_the_folder_are_refused(checkpoint, path):
    manifest = json.loads((checkpoint / "manifest.json").read_text())
    manifest["components"]["numbers"]["path"] = path
    (checkpoint / "manifest.json").write_text(json.dumps(manifest))
    files = json.loads((checkpoint / "files.json").read_text())["files"]
    file = checkpoint / "manifest.json"
    files["manifest.json"] = [file.stat().st_size, _digest(file)]
    (checkpoint / "files.json").write_text(_as_text(files))
    with pytest.raises(ValueError, match="component 'numbers' lies at"):
        load(checkpoint)


def test_names_out_of_the_folder_are_refused(checkpoint, tmp_path):
    (tmp_path / "outside").write_text("")
    files = json.loads((checkpoint / "files.json").read_text())["files"]
    files["../outside"] = [0, _digest(tmp_path / "outside")]
    (checkpoint / "files.json").write_text(_as_text(files))
    with pytest.raises(ValueError, match=r"it is damaged \(../outside missing\)"):
        load(checkpoint)


def test_a_name_that_stands_twice_is_refused(checkpoint):
    meta = checkpoint / "components" / "0001-numbers" / "state" / "meta.json"
    meta.write_text('{"shape": 1, ' + meta.read_text()[1:])
    seal(checkpoint)
    with pytest.raises(ValueError, match=r"cannot be read \(a name stands twice"):
        load(checkpoint)


def test_entries_of_the_list_in_another_form_are_refused(checkpoint):
    files = json.loads((checkpoint / "files.json").read_text())["files"]
    (checkpoint / "files.json").write_text(_as_text(dict.fromkeys(files, 7)))
    with pytest.raises(ValueError, match=r"bytes, and 7 in files.json"):
        load(checkpoint)


def test_a_manifest_without_components_is_refused(checkpoint):
    shutil.rmtree(checkpoint / "components")
    (checkpoint / "manifest.json").write_text('{"components": []}')
    names = ["manifest.json"]
    files = {n: [(checkpoint / n).stat().st_size, _digest(checkpoint / n)] for n in names}
    (checkpoint / "files.json").write_text(_as_text(files))
    with pytest.raises(ValueError, match=r"manifest.json names no components"):
        check_folder(checkpoint)


def test_checkpoints_without_a_list_are_refused(tmp_path):
    path = Checkpoint(numbers=Numbers(5)).save(tmp_path / "checkpoint")
    with pytest.raises(ValueError, match=r"not one of a torchrl_drigm run, or from a version that"):
        load(path)
    archive = Checkpoint(numbers=Numbers(5), format="archive").save(tmp_path / "archive")
    with pytest.raises(ValueError, match="no readable checkpoint, of which each is a folder"):
        load(archive)
