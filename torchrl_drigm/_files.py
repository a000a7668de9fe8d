"""Files that are never half written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory


@contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its place once the block has ended well.

    The folder is made where it is missing. A reader sees the old file or the new one; after an
    exception the old one stays and the temporary one is removed.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The ending stays: it tells a writer the format.
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def check_place(field: str, folder: Path) -> None:
    """Refuse a folder that nothing can be written into, before work is done for it.

    What is missing of it is made beside it and removed: permissions alone do not tell.

    Raises:
        ValueError: naming the field, its value and what is in the way.
    """
    folder = folder.absolute()
    for place in (folder, *folder.parents):
        if place.is_file():
            raise ValueError(f"{field}: {place} is a file. Name a folder, or a file in one.")
    place = next(place for place in (folder, *folder.parents) if place.exists())
    try:
        with TemporaryDirectory(prefix=".", dir=place) as trial:
            (Path(trial) / folder.relative_to(place)).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(
            f"{field}: {folder} cannot be written into ({error.strerror}). Name another folder."
        ) from error
