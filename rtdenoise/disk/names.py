"""Names of files as people, JSON readers and libsndfile can take them: a name on disk is bytes, not always text."""

from __future__ import annotations

import os
import sys
import unicodedata
from pathlib import Path
from typing import Any

_FIRST_BYTE, _LAST_BYTE = 0xDC80, 0xDCFF  # how Python stands for bytes 0x80 to 0xff that are not UTF-8 (PEP 383)
_UNSEEN = frozenset({"Cc", "Cs", "Zl", "Zp"})  # control characters, lone surrogates, line and paragraph separators


def shown(name: object) -> str:
    r"""A name on one line of a terminal: bytes that are no text as ``\xe9``, control characters as ``\n``, ``\x1b``."""
    return "".join(_escaped(c) if unicodedata.category(c) in _UNSEEN else c for c in str(name))


def as_text(name: object) -> str:
    r"""A name that every encoder takes: bytes that are no text as ``\xe9``, all else as it is."""
    return "".join(_escaped(c) if unicodedata.category(c) == "Cs" else c for c in str(name))


def _escaped(character: str) -> str:
    code = ord(character)
    if _FIRST_BYTE <= code <= _LAST_BYTE:
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def plain(value: Any) -> Any:
    """The same nested mappings and lists, with every text through `as_text`: for JSON, CSV and Parquet."""
    if isinstance(value, str):
        return as_text(value)
    if isinstance(value, dict):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def for_library(path: str | Path) -> str | bytes:
    """A path for libsndfile: the file system's own bytes where names are bytes."""
    return str(path) if sys.platform == "win32" else os.fsencode(path)


def is_there(name: str | Path) -> bool:
    """Whether there is such a file or folder; a name that no file can have is none."""
    return os.path.exists(name)  # noqa: PTH110 - Path.exists raises for a name that is too long


def is_folder(name: str | Path) -> bool:
    """Whether there is such a folder; a name that no folder can have is none."""
    return os.path.isdir(name)  # noqa: PTH112 - Path.is_dir raises for a name that is too long
