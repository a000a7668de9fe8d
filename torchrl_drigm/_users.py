"""Code of the user's own that this package calls: whose the error is, and where."""

from __future__ import annotations

import re
import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["UsersError", "noting", "users_code", "users_lines"]

_OURS = [str(Path(__file__).parent), *map(sysconfig.get_path, ("stdlib", "purelib", "platlib"))]


class UsersError(ValueError):
    """What code of the user's own raised.

    Attributes:
        trace: the lines of that code, as Python prints them; all lines where it is none of them,
            and none where a library refuses something in words of its own.
    """

    trace = ""


_NOTE = "That was in "


def users_lines(error: Exception) -> list[traceback.FrameSummary]:
    """Where in the user's own code an error was, from the outside in."""
    frames = traceback.extract_tb(error.__traceback__)
    return [frame for frame in frames if not frame.filename.startswith(("<", *_OURS))]


@contextmanager
def noting(where: str) -> Iterator[None]:
    """Within the block an error that does not say the step gets a note of it.

    Args:
        where (str): such as ``"step 3 of an episode"``.
    """
    try:
        yield
    except Exception as error:
        if not _notes(error) and re.search(r"\bstep \d", str(error)) is None:
            error.add_note(f"{_NOTE}{where}.")
        raise


def _notes(error: Exception) -> list[str]:
    return [note for note in getattr(error, "__notes__", ()) if note.startswith(_NOTE)]


@contextmanager
def users_code(field: str, path: object) -> Iterator[None]:
    """Within the block an error is told by what was called, and by the lines of the user's.

    What a library refuses, in words of its own, is told by these alone; what :func:`noting` noted
    stands behind.

    Args:
        field (str): what names the code, such as ``"env.make"``.
        path (object): its value.

    Raises:
        UsersError: from the error of the block.
    """
    try:
        yield
    except UsersError:
        raise
    except Exception as error:
        kind = type(error).__name__
        lines = users_lines(error)
        refused = not lines and isinstance(error, TypeError | ValueError)
        if refused and str(error).startswith(f"{field}="):
            raise
        said = " ".join(str(error).split("\n"))  # in the last line, with the field
        words = said if refused else f"what it names raised {kind}: {said}"
        for note in _notes(error):
            words = f"{words.rstrip('.')}. {note}"
        told = UsersError(f"{field}={path!r}: {words}")
        if not refused:
            shown = traceback.format_list(lines or traceback.extract_tb(error.__traceback__))
            told.trace = "".join(["Traceback (most recent call last):\n", *shown])
        raise told from error
