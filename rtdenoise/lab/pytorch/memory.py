"""Make the C library keep the memory of large arrays between two steps."""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
_LARGEST_MMAP_THRESHOLD = 32 << 20


def keep_memory() -> bool:
    """Keep freed memory for the next step instead of returning it; False if the C library has no such option.

    Otherwise glibc returns every large array to the system, which then zeroes the pages again.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # another C library
        return False
    kept = mallopt(_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD), mallopt(_TRIM_THRESHOLD, 2**31 - 1)
    return all(kept)
