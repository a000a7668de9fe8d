"""Results on disk, never half written."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd

from torchrl_drigm._files import atomic_path

__all__ = ["atomic_path", "save_results"]


def save_results(results: pd.DataFrame, path: str | os.PathLike) -> Path:
    """Writes a table as CSV, atomically, and returns its path."""
    with atomic_path(path) as temporary:
        results.to_csv(temporary, index=False)
    return Path(path)
