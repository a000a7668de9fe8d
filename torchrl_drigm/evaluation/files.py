"""Results on disk, never half written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from torchrl_drigm._files import atomic_path

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["RESULTS", "WIN_RATES", "atomic_path", "results_of", "save_results"]

RESULTS, WIN_RATES = "evaluation.csv", "win_rates.csv"


def results_of(cfg: DictConfig) -> str:
    """Name of the file that a run writes last."""
    return WIN_RATES if "interval" in cfg.evaluation else RESULTS


def save_results(results: pd.DataFrame, path: str | os.PathLike) -> Path:
    """Writes a table as CSV, atomically, and returns its path."""
    with atomic_path(path) as temporary:
        results.to_csv(temporary, index=False)
    return Path(path)
