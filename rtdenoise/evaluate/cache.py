"""Score cache on disk, keyed by content: a stopped run resumes, and a changed method is scored again."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from rtdenoise.disk.atomic import write_text
from rtdenoise.errors import AudioFileError
from rtdenoise.typing import F32

_DEFINITIONS = "1"  # increment when the definition of a metric changes


class Cache:
    """Small JSON files in a folder, each written atomically.

    Raises
    ------
    AudioFileError
        If the folder cannot be created.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise AudioFileError(f"{folder}: cannot be made: {error.strerror}") from error

    def get(self, key: str) -> dict[str, Any]:
        """The value stored under a key; empty if missing or damaged."""
        try:
            found = json.loads(self._path(key).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def put(self, key: str, value: dict[str, Any]) -> None:
        """Store a value."""
        path = self._path(key)
        path.parent.mkdir(exist_ok=True)
        write_text(path, json.dumps(value))

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.json"


def digest(*parts: F32 | str) -> str:
    """Hash of these arrays and strings, and of the current metric definitions."""
    sha = hashlib.sha256(_DEFINITIONS.encode())
    for part in parts:
        content = part.encode() if isinstance(part, str) else np.ascontiguousarray(part).tobytes()
        sha.update(f"{len(content)}:".encode())
        sha.update(content)
    return sha.hexdigest()[:32]
