"""Bytes of memory that this process could have: the machine's, or its container's."""

from __future__ import annotations

import os
import re
from pathlib import Path

__all__ = ["free_memory"]


def free_memory(system: str | Path = "/") -> int | None:
    """Bytes of memory that could be had, or ``None`` where the system does not tell.

    A control group of version 2, such as a container's or a batch job's, may have a limit below the
    machine's memory. What it keeps of files that are no longer in use is free, too.

    Args:
        system (str or Path): where ``proc`` and ``sys`` are.
    """
    system = Path(system)
    known = [free for free in (_of_machine(system), *_of_groups(system)) if free is not None]
    return min(known, default=None)


def _of_machine(system: Path) -> int | None:
    try:
        text = (system / "proc/meminfo").read_text(encoding="ascii")
        return int(re.search(r"^MemAvailable:\s*(\d+) kB", text, re.MULTILINE)[1]) * 1024
    except (OSError, TypeError):
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return None


def _of_groups(system: Path) -> list[int | None]:
    """Of this process's group and of all around it."""
    root = system / "sys/fs/cgroup"
    try:
        text = (system / "proc/self/cgroup").read_text(encoding="utf-8")
    except OSError:
        return []
    found = re.search(r"^0::/(.*)$", text, re.MULTILINE)
    own = root if found is None else root / found[1]
    inside = [folder for folder in own.parents if root in (folder, *folder.parents)]
    return [_of_group(folder) for folder in (own, *inside)]


def _of_group(folder: Path) -> int | None:
    try:
        limit = (folder / "memory.max").read_text(encoding="ascii").strip()
        if limit == "max":
            return None
        used = int((folder / "memory.current").read_text(encoding="ascii"))
        stat = (folder / "memory.stat").read_text(encoding="ascii")
        files = re.search(r"^inactive_file (\d+)$", stat, re.MULTILINE)
        return max(int(limit) - used + (0 if files is None else int(files[1])), 0)
    except (OSError, ValueError):  # there is none
        return None
