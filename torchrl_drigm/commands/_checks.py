"""What a command line says, refused before PyTorch is imported and anything is played."""

from __future__ import annotations

import re
from pathlib import Path

from torchrl_drigm._files import check_place

__all__ = ["check_at_least", "check_out"]


def check_at_least(name: str, value: int, lowest: int) -> None:
    """Refuse a number that is too low.

    Raises:
        ValueError: naming the option, its value and the bound.

    Examples:
        >>> check_at_least("--jobs", 0, 1)
        Traceback (most recent call last):
        ValueError: --jobs=0 must be at least 1.
    """
    if value < lowest:
        raise ValueError(f"{name}={value} must be at least {lowest}.")


def check_out(out: Path | None, files: tuple[str, ...] = ()) -> None:
    """Refuse an ``--out`` that nothing can be written into, or that is of another kind.

    Args:
        out (Path, optional): what ``--out`` says: a folder.
        files (tuple of str): endings of files that it may be instead.

    Raises:
        ValueError: for another ending, a file where a folder is needed, a folder where a file is,
            or a folder that cannot be made or written into.

    Examples:
        >>> check_out(Path("rows.png"), (".csv",))
        Traceback (most recent call last):
        ValueError: --out=rows.png must be a folder or a file *.csv. ...
    """
    if out is None:
        return
    is_file = out.suffix in files
    if is_file and out.is_dir():
        raise ValueError(f"--out={out} is a folder: name a folder without the ending {out.suffix}.")
    if not is_file and re.fullmatch(r"\.[A-Za-z]\w*", out.suffix) and not out.is_dir():
        kinds = ["a folder", *(f"a file *{ending}" for ending in files)]
        raise ValueError(
            f"--out={out} must be {' or '.join(kinds)}. A folder with an ending has to be there "
            "already."
        )
    check_place(f"--out={out}", out.parent if is_file else out)
