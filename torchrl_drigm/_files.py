"""Files that are never half written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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
    """Refuse a folder to write into that is a file, or below one, before work is done for it.

    Raises:
        ValueError: naming the field, its value and the file.
    """
    for place in (folder, *folder.parents):
        if place.is_file():
            raise ValueError(f"{field}: {place} is a file. Name a folder, or a file in one.")
