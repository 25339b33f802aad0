"""File names for terminals, JSON and libsndfile: a name on disk is bytes and not always valid text."""

from __future__ import annotations

import os
import sys
import unicodedata
from pathlib import Path
from typing import Any

_FIRST_BYTE, _LAST_BYTE = 0xDC80, 0xDCFF  # how Python represents bytes 0x80 to 0xff that are not UTF-8 (PEP 383)
_UNSEEN = frozenset({"Cc", "Cs", "Zl", "Zp"})  # control characters, lone surrogates, line and paragraph separators


def shown(name: object) -> str:
    r"""Format a name for one terminal line: undecodable bytes as ``\xe9``, control characters as ``\n``, ``\x1b``."""
    return "".join(_escaped(c) if unicodedata.category(c) in _UNSEEN else c for c in str(name))


def as_text(name: object) -> str:
    r"""Make a name encodable: undecodable bytes become ``\xe9``; the rest is unchanged."""
    return "".join(_escaped(c) if unicodedata.category(c) == "Cs" else c for c in str(name))


def _escaped(character: str) -> str:
    code = ord(character)
    if _FIRST_BYTE <= code <= _LAST_BYTE:
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def plain(value: Any) -> Any:
    """Apply `as_text` to every string in nested mappings and lists, for JSON, CSV and Parquet."""
    if isinstance(value, str):
        return as_text(value)
    if isinstance(value, dict):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def for_library(path: str | Path) -> str | bytes:
    """Return a path for libsndfile: as raw bytes on systems where names are bytes."""
    return str(path) if sys.platform == "win32" else os.fsencode(path)


def is_there(name: str | Path) -> bool:
    """Whether the file or folder exists; False for an invalid name."""
    return os.path.exists(name)  # noqa: PTH110 - Path.exists raises for a name that is too long


def is_folder(name: str | Path) -> bool:
    """Whether the folder exists; False for an invalid name."""
    return os.path.isdir(name)  # noqa: PTH112 - Path.is_dir raises for a name that is too long
