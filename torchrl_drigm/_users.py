"""Code of the user's own that this package calls: whose the error is, and where."""

from __future__ import annotations

import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["UsersError", "users_code"]

_OURS = [str(Path(__file__).parent), *map(sysconfig.get_path, ("stdlib", "purelib", "platlib"))]


class UsersError(ValueError):
    """What code of the user's own raised.

    Attributes:
        trace: the lines of that code, as Python prints them; empty where it is none of them.
    """

    trace = ""


@contextmanager
def users_code(field: str, path: object) -> Iterator[None]:
    """Within the block an error is told by what was called, and by the lines of the user's.

    What a library refuses, in words of its own, is told by these alone.

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
        lines = [
            frame
            for frame in traceback.extract_tb(error.__traceback__)
            if _is_users(frame.filename)
        ]
        refused = not lines and isinstance(error, TypeError | ValueError)
        if refused and str(error).startswith(f"{field}="):
            raise
        words = (
            f"{field}={path!r}: {error}"
            if refused
            else f"{field}={path!r}: what it names raised {kind}: {error}"
        )
        told = UsersError(words)
        if lines:
            told.trace = "".join(
                ["Traceback (most recent call last):\n", *traceback.format_list(lines)]
            )
        raise told from error


def _is_users(file: str) -> bool:
    return not file.startswith(("<", *_OURS))
