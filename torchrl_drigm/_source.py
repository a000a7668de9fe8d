"""Which state of the code runs, for results to name it."""

from __future__ import annotations

import functools
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["commit", "installed_version", "source"]


@functools.cache
def commit() -> str | None:
    """The commit of the checkout that the package is imported from, if it is one of git.

    Asked once for a process: what it has imported stays as it was, when the checkout moves on.

    Returns:
        40 digits, followed by ``-dirty`` where files differ from it; ``None`` without a checkout.
    """
    known = ["ls-files", "--error-unmatch", "__init__.py"]  # and not some repository around it
    described = ["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        for words in (known, described):
            done = subprocess.run(
                ["git", *words],
                cwd=Path(__file__).parent,
                capture_output=True,
                text=True,
                check=True,
                timeout=10,
            )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def installed_version() -> str | None:
    """Version of the installed package; ``None`` for a checkout on Python's path."""
    try:
        return version("torchrl_drigm")
    except PackageNotFoundError:
        return None


def source() -> str:
    """Commit or version, in the words of a caption.

    Examples:
        >>> source().split()[0] in ("commit", "torchrl_drigm")
        True
    """
    if (found := commit()) is None:
        return f"torchrl_drigm {installed_version() or 'of no version'}"
    digits, _, dirty = found.partition("-")
    return f"commit {digits[:7]}{' with changes' if dirty else ''}"
