"""Standard streams that whoever started the program has closed."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path


def have_standard_streams() -> None:
    """Reopen closed standard streams on the null device: the next file would otherwise take their numbers."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            with contextlib.suppress(OSError):
                os.open(os.devnull, os.O_RDWR)  # takes the lowest free number
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 - until the end
