"""What lies in a checkpoint's folder: a list of all files with their hashes, and what is let in.

Two checks come before anything in the folder is given to TorchRL or tensordict:

1. The folder holds the files that ``files.json`` lists, all of them and no other, each with its
   size and hash. This finds damage. It stops nobody who writes the list himself.
2. Whatever the list says, every file is of a kind that a run writes: JSON, and raw numbers of the
   type and shape that the JSON beside them names. Nothing of that is unpickled. The formats that
   TorchRL and tensordict would unpickle (``prefetch.pkl``, ``transform.t``, ``other.pickle``,
   ``state.pt`` and metadata that name classes) are refused by not being among these.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchrl_drigm import __version__
from torchrl_drigm._files import atomic_path
from torchrl_drigm.trainers.checkpoint_version import (
    LIST,
    check_written_version,
    damaged,
    read_json,
)

if TYPE_CHECKING:
    import torch

__all__ = ["check_folder", "check_whole", "seal_folder"]

MANIFEST = "manifest.json"
STATE, VALUE, TENSORS = "state.json", "value.json", "state/meta.json"
# Values of a state dict as TorchRL writes them into state.json.
KINDS = {"value", "tensor", "dict", "ordered_dict", "list", "tuple", "torch_size"}
TENSOR_FIELDS = {"device", "shape", "dtype", "is_nested"}
TENSORDICT = "<class 'tensordict._td.TensorDict'>"


def seal_folder(folder: Path) -> None:
    """Write ``files.json``: size and hash (BLAKE2b, 128 bits) of every file, and our version.

    Raises:
        ValueError: if the folder holds what :func:`check_folder` would refuse to load.
    """
    files = {
        name: [(folder / name).stat().st_size, _digest(folder / name)]
        for name in sorted(_walk(folder) - {LIST})
    }
    with atomic_path(folder / LIST) as temporary:
        temporary.write_text(_as_text(files, version=__version__), encoding="utf-8")
    _check_kinds(folder, {*files, LIST})


def check_folder(folder: Path) -> None:
    """Refuse a folder that is not, to the last bit, a checkpoint as a run writes it.

    Args:
        folder (Path): a folder of a :class:`~torchrl_drigm.trainers.checkpoint.RunCheckpoint`.

    Raises:
        ValueError: if it is none, is damaged, or holds what no run writes. Nothing was read by
            then but JSON, and nothing was written.
    """
    if not folder.is_dir():
        raise ValueError(
            f"cannot load {folder}: it is no readable checkpoint, of which each is a folder. Name "
            "the 'checkpoint' folder of a run."
        )
    names = _walk(folder)
    if LIST not in names:
        raise ValueError(
            f"cannot load {folder}: it is damaged, not one of a torchrl_drigm run, or from a "
            f"version that wrote no {LIST}. Name the 'checkpoint' folder of a run."
        )
    check_written_version(folder)
    _check_hashes(folder, names)
    _check_kinds(folder, names)


def check_whole(folder: Path) -> None:
    """Refuse a folder whose files are not those that its ``files.json`` lists, without PyTorch.

    Args:
        folder (Path): of a checkpoint, with its list.

    Raises:
        ValueError: naming the file, if one is missing, cut or changed.
    """
    _check_hashes(folder, _walk(folder))


def _foreign(folder: Path, what: str) -> ValueError:
    return ValueError(
        f"cannot load {folder}: {what}, which no torchrl_drigm run writes. Take a checkpoint that "
        "you made yourself."
    )


def _walk(folder: Path) -> set[str]:
    """Names of all files below ``folder``, with slashes. Links and devices are refused."""
    names, waiting = set(), [folder]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                name = Path(entry.path).relative_to(folder).as_posix()
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                elif entry.is_file(follow_symlinks=False):
                    names.add(name)
                else:
                    raise _foreign(folder, f"{name} is a link or a device")
    return names


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _as_text(files: dict[str, list], **version: Any) -> str:
    """The list as it is written, with the hash of itself."""
    digest = hashlib.blake2b(json.dumps(files).encode(), digest_size=16).hexdigest()
    return json.dumps({**version, "files": files, "list": digest}, indent=1) + "\n"


def _check_hashes(folder: Path, names: set[str]) -> None:
    found = read_json(folder, LIST)
    files = found.get("files")
    version = {key: found[key] for key in ("version",) if key in found}
    written = _as_text(files, **version) if isinstance(files, dict) else None
    if written is None or (folder / LIST).read_bytes() != written.encode():
        raise damaged(folder, f"{LIST} is not as it was written")
    missing, unlisted = sorted(files.keys() - names), sorted(names - files.keys() - {LIST})
    if missing:
        raise damaged(folder, f"{', '.join(missing)} missing")
    if unlisted:
        raise damaged(folder, f"{', '.join(unlisted)} not in {LIST}")
    for name, entry in files.items():
        size = (folder / name).stat().st_size
        if not isinstance(entry, list) or entry[:1] != [size]:
            raise damaged(folder, f"{name} has {size} bytes, and {entry!r} in {LIST}")
        if entry[1:] != [_digest(folder / name)]:
            raise damaged(folder, f"the content of {name} is not what was written")


def _check_kinds(folder: Path, names: set[str]) -> None:
    try:
        _check_components(folder, names)
    except (AttributeError, KeyError, RecursionError, TypeError) as error:
        raise _foreign(folder, f"its JSON is laid out in another way ({error!r})") from error


def _check_components(folder: Path, names: set[str]) -> None:
    components = read_json(folder, MANIFEST).get("components") if MANIFEST in names else None
    if not isinstance(components, dict):
        raise _foreign(folder, f"{MANIFEST} names no components")
    known = {LIST, MANIFEST}
    for component, record in components.items():
        record = record if isinstance(record, dict) else {}
        path, adapter = record.get("path"), record.get("adapter")
        if not re.fullmatch(r"components/\d{4}-[\w.%-]+", str(path)):
            raise _foreign(folder, f"component {component!r} lies at {path!r}")
        if adapter == "torchrl.json":
            own = {f"{path}/{VALUE}"}
        elif adapter == "torchrl.state_dict":
            own = _check_tensors(folder, path, names) | {f"{path}/{STATE}", f"{path}/{TENSORS}"}
            _check_state(folder, path, read_json(folder, f"{path}/{STATE}"))
        else:
            raise _foreign(folder, f"component {component!r} is in the format {adapter!r}")
        if sorted(own) != sorted(f"{path}/{file}" for file in record.get("files", ())):
            raise _foreign(folder, f"component {component!r} lists other files than its format has")
        known |= own
    if known != names:
        raise _foreign(folder, f"{', '.join(sorted(known ^ names))} belong to no component")


def _check_tensors(folder: Path, path: str, names: set[str]) -> set[str]:
    """The tensor files of a component, of which tensordict's metadata say no more than shapes."""
    own, tensors = set(), read_json(folder, f"{path}/{TENSORS}")
    collection = {"_type": TENSORDICT, "shape": [], "device": "cpu"}
    if {key: tensors.pop(key, None) for key in collection} != collection:
        raise _foreign(folder, f"{path}/{TENSORS} is of another class than TensorDict")
    for key, entry in tensors.items():
        if not re.fullmatch(r"tensor_\d{8}", key) or not _is_tensor(entry):
            raise _foreign(folder, f"{path}/{TENSORS} has the entry {key!r}: {str(entry)[:200]}")
        size = math.prod(entry["shape"]) * _dtype(entry["dtype"]).itemsize
        name = f"{path}/state/{key}.memmap"
        if name in names:
            own.add(name)
        # a tensor without elements has no file
        if ((folder / name).stat().st_size if name in names else 0) != size:
            raise _foreign(folder, f"{name} is not of the {size} bytes of its shape and type")
    return own


def _dtype(name: str) -> torch.dtype | None:
    import torch  # which takes seconds: what a checkpoint says of itself is read without it

    dtype = getattr(torch, name.removeprefix("torch."), None)
    return dtype if isinstance(dtype, torch.dtype) else None


def _is_tensor(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and set(entry) == TENSOR_FIELDS
        and entry["is_nested"] is False
        and isinstance(entry["shape"], list)
        and all(type(length) is int and length >= 0 for length in entry["shape"])
        and isinstance(entry["dtype"], str)
        and _dtype(entry["dtype"]) is not None
        and isinstance(entry["device"], str)
    )


def _check_state(folder: Path, path: str, value: Any) -> None:
    """Every value in a state dict is of a kind that is made of numbers, texts and tensors."""
    if not isinstance(value, dict) or value.get("kind") not in KINDS:
        kind = value.get("kind") if isinstance(value, dict) else value
        raise _foreign(folder, f"{path}/{STATE} has a value of the kind {kind!r}")
    if value["kind"] in ("dict", "ordered_dict"):
        entries = [part for item in value.get("items", ()) for part in item]
        entries += [value["metadata"]] if "metadata" in value else []
    elif value["kind"] in ("list", "tuple"):
        entries = value.get("items", ())
    else:
        entries = ()
    for entry in entries:
        _check_state(folder, path, entry)
