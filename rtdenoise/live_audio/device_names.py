"""Tell whether the name of a source or target means a device or a file."""

from __future__ import annotations

import re
from pathlib import Path

from rtdenoise.disk.names import is_there

STDIO = "-"
LIVE_NAMES = ("mic", "speaker", "virtual-mic")
_FILE_SUFFIX = re.compile(r"\.[A-Za-z]\w{1,4}")


def is_live(name: str | None) -> bool:
    """Whether a source or target names an audio device: ``mic``, ``mic:NAME``, ``speaker`` ..."""
    return name is not None and name.partition(":")[0].lower() in LIVE_NAMES


def is_index(name: str | None) -> bool:
    """Whether a source or target is the index of a device: a number that is no file's name."""
    return name is not None and name.isdigit() and not is_there(name)


def is_device(name: str) -> bool:
    """Whether a source or target is a device: mic, speaker:NAME, an index, or a name that is no file's."""
    if is_live(name) or is_index(name):
        return True
    path = Path(name)
    return not (name == STDIO or is_there(name) or path.name != name or _FILE_SUFFIX.fullmatch(path.suffix))
