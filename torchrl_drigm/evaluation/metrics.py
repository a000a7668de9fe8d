"""What a run logged, as one table."""

from __future__ import annotations

import warnings
from pathlib import Path

import pandas as pd

__all__ = ["read_metrics"]


def read_metrics(run_dir: str | Path) -> pd.DataFrame:
    r"""Read the scalars that TorchRL's ``CSVLogger`` left in a run's folder.

    Args:
        run_dir (str or Path): folder of a run, with ``metrics/scalars/<name>.csv`` below it.

    Returns:
        DataFrame: one row per logged frame count in the column ``frames`` (environment steps), one
        column per metric; empty cells where a metric was not logged. Of a frame count that was
        logged twice, because a run was resumed, the later values count. Torn lines, which a run
        that was killed can leave, are left out, and a warning names them.

    Raises:
        FileNotFoundError: if there are no scalars below ``run_dir``.

    Examples:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as run_dir:
        ...     scalars = Path(run_dir) / "metrics" / "scalars"
        ...     scalars.mkdir(parents=True)
        ...     _ = (scalars / "loss.csv").write_text("16,0.5\n32,0.25\n")
        ...     read_metrics(run_dir)
           frames  loss
        0      16  0.50
        1      32  0.25
    """
    files = sorted(Path(run_dir).glob("metrics/scalars/*.csv"))
    if not files:
        raise FileNotFoundError(
            f"no scalars in {Path(run_dir) / 'metrics' / 'scalars'}: name the folder of a run that "
            "logged with logger=csv."
        )
    return pd.concat(map(read_scalar, files), axis=1).sort_index().reset_index()


def read_scalar(file: Path) -> pd.DataFrame:
    """One metric by ``frames``; a warning names lines that are torn, and left out."""
    values, torn = {}, []
    for number, line in enumerate(file.read_text().splitlines(keepends=True), 1):
        frames, _, value = line.partition(",")
        try:
            # without its end, a line may have lost digits
            if not line.endswith("\n"):
                raise ValueError
            values[int(frames)] = float(value)
        except ValueError:
            torn.append(f"line {number}: {line.strip()!r}")
    if torn:
        warnings.warn(f"{file} is torn, left out: {'; '.join(torn)}.", stacklevel=3)
    return pd.DataFrame({file.stem: values}, dtype=float).rename_axis("frames")
