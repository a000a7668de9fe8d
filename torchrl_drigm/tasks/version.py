"""Which version of an environment results were played in."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path

__all__ = ["environment_version"]

_LIBRARIES = ("torch", "torchrl", "numpy")
# with what of the package beside them numbers depend on
_PARTS = ("envs/**/*.py", "tasks/**/*.py", "_days.py", "_garages.py", "_vmas.py")


def environment_version(packages: Sequence[str] = ()) -> str:
    """Versions of a simulator and of what numbers depend on, and a hash of this package's part.

    The hash is that of its environments and tasks, and of the days, sites and scenarios of these.
    Results of different versions do not belong into one table.

    Args:
        packages (sequence of str): the simulator's, see :attr:`~torchrl_drigm.tasks.Task.packages`;
            those that are not installed are left out.

    Returns:
        str: such as ``"sustaingym 0.1.7, torch 2.13.0, torchrl 0.13.3, numpy 2.4.0, envs
        1f0c88d2"``.

    Examples:
        >>> names = [part.split()[0] for part in environment_version(["pandas"]).split(", ")]
        >>> names
        ['pandas', 'torch', 'torchrl', 'numpy', 'envs']
    """
    return ", ".join([*_installed((*packages, *_LIBRARIES)), f"envs {_hash()}"])


@functools.cache
def _hash() -> str:
    root, digest = Path(__file__).parents[1], hashlib.sha256()
    for part in _PARTS:
        for file in sorted(root.glob(part)):
            digest.update(file.relative_to(root).as_posix().encode())
            digest.update(file.read_bytes().replace(b"\r\n", b"\n"))
    return digest.hexdigest()[:8]


def _installed(names: Iterable[str]) -> list[str]:
    found = []
    for name in dict.fromkeys(names):
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    return found
