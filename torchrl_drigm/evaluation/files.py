"""Results on disk, never half written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

__all__ = ["atomic_path", "save_results"]


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


def save_results(results: pd.DataFrame, path: str | os.PathLike) -> Path:
    """Writes a table as CSV, atomically, and returns its path."""
    with atomic_path(path) as temporary:
        results.to_csv(temporary, index=False)
    return Path(path)
