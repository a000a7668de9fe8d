"""Memory that is freed stays with the process, where its C library is glibc.

An update of a stack takes blocks of several megabytes, and frees them. glibc hands those back to
the kernel, which has to fill new pages with zeros for the next update: up to a fifth of its time.
"""

from __future__ import annotations

import ctypes
import platform

__all__ = ["keep_freed_memory"]

# of glibc's malloc.h; man 3 mallopt
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4


def keep_freed_memory() -> bool:
    """Tell glibc's allocator not to hand freed memory back, for the rest of the process.

    The process then stays as large as it was at most, until its end. Other C libraries, such as
    musl or that of macOS, and allocators that are loaded in its place, are left as they are.

    Returns:
        bool: whether the allocator has taken it.

    Examples:
        >>> keep_freed_memory() in (True, False)
        True
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(_M_TRIM_THRESHOLD, 2**31 - 1) and mallopt(_M_MMAP_MAX, 0))
