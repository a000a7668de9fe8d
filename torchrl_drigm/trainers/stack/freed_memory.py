"""Memory that is freed stays with the process, where its C library is glibc.

An update of a stack takes blocks of several megabytes, and frees them. glibc hands those back to
the kernel, which has to fill new pages with zeros for the next update: up to a fifth of its time.
"""

from __future__ import annotations

import ctypes
import platform

__all__ = ["hand_back_memory", "keep_freed_memory"]

# of glibc's malloc.h; man 3 mallopt
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -3, -4


def keep_freed_memory() -> bool:
    """Tell glibc's allocator not to hand freed memory back, until :func:`hand_back_memory`.

    The process then stays as large as it was at most. Other C libraries, such as musl or that of
    macOS, and allocators that are loaded in its place, are left as they are.

    Returns:
        bool: whether the allocator has taken it.

    Examples:
        >>> keep_freed_memory() == hand_back_memory()
        True
    """
    return _set({_M_TRIM_THRESHOLD: 2**31 - 1, _M_MMAP_MAX: 0})


def hand_back_memory() -> bool:
    """Hand back what is free now, and from here on what glibc would after some large blocks.

    Left to itself it takes blocks of up to 32 MB from its heap once it has seen such ones freed,
    and hands back what is free above 64 MB.

    Returns:
        bool: whether the allocator has taken it.
    """
    set_ = _set({_M_TRIM_THRESHOLD: 2**26, _M_MMAP_THRESHOLD: 2**25, _M_MMAP_MAX: 2**16})
    if set_:
        ctypes.CDLL(None).malloc_trim(0)
    return set_


def _set(options: dict[int, int]) -> bool:
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return all(mallopt(option, value) for option, value in options.items())
