"""A checkpoint's folder: whole on disk at every moment, and believed only after it was checked."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from torchrl.checkpoint import Checkpoint, CheckpointLoadResult

from torchrl_drigm.trainers.checkpoint_files import check_folder, seal_folder
from torchrl_drigm.trainers.checkpoint_place import find_checkpoint, recover, saving_folder

__all__ = ["RunCheckpoint", "find_checkpoint", "recover"]


class RunCheckpoint(Checkpoint):
    """TorchRL's ``Checkpoint`` as a folder that is whole or refused.

    Saving lists every file with its hash. Loading checks the list, and that nothing but numbers
    and JSON lies there, before anything is read, and writes nothing into the folder.

    A save that is killed at any moment leaves a whole checkpoint: the last one, or the new one. It
    may lie in ``.<name>.saving`` beside the place where it belongs. Loading finds it there, and
    the next save puts it back and clears up.

    Examples:
        >>> import tempfile
        >>> import torch
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = RunCheckpoint(net=torch.nn.Linear(2, 1)).save(f"{folder}/checkpoint")
        ...     _ = (path / "components" / "0000-net" / "state" / "meta.json").write_text("{}")
        ...     RunCheckpoint(net=torch.nn.Linear(2, 1)).load(path)
        Traceback (most recent call last):
            ...
        ValueError: cannot load ...: it is damaged (components/0000-net/state/meta.json has...
    """

    def save(self, path: str | Path, **options: Any) -> Path:
        """Save as TorchRL's does, and list every file with its hash.

        Args:
            path (str or Path): folder of the checkpoint; what lies there is replaced.
            **options: those of :meth:`torchrl.checkpoint.Checkpoint.save`, ``format`` excepted.

        Raises:
            ValueError: if a component has a state that loading would refuse.
        """
        path = self._local_path(path)
        recover(path)
        saving = saving_folder(path)
        try:
            seal_folder(super().save(saving / "part", **options, format="directory"))
            os.replace(saving / "part", saving / "new")  # what has this name is whole
            if path.exists():
                os.replace(path, saving / "old")
            os.replace(saving / "new", path)
        except BaseException:
            recover(path)
            raise
        shutil.rmtree(saving)
        return path

    def load(self, path: str | Path, **options: Any) -> CheckpointLoadResult:
        """Load as TorchRL's does, from a folder that is as a run wrote it.

        Args:
            path (str or Path): folder of the checkpoint.
            **options: those of :meth:`torchrl.checkpoint.Checkpoint.load`.

        Raises:
            FileNotFoundError: if there is no checkpoint.
            ValueError: if it is none of a run, is damaged, or holds what no run writes.
        """
        folder = find_checkpoint(path)
        check_folder(folder)
        return super().load(folder, **options)
