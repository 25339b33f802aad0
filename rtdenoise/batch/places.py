"""File storage: folders on this machine, or anything fsspec reaches (s3://, gs://, ssh:// ...)."""

from __future__ import annotations

import logging
import posixpath
import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Any

from rtdenoise.errors import AudioFileError, ConfigError, MissingExtraError
from rtdenoise.files.naming import DENOISED
from rtdenoise.sound.containers.sniff import kind_of_file
from rtdenoise.sound.encoding import AUDIO_SUFFIXES
from rtdenoise.sound.recordings import left_out_line
from rtdenoise.sound.suffixes import MEDIA_SUFFIXES, RAW_SUFFIXES, why_raw

_log = logging.getLogger(__name__)

LEDGER = ".rtdenoise-batch"
"""Folder below the target with one small record per finished file."""

_PART = ".rtdenoise-"


@dataclass(frozen=True, slots=True)
class Found:
    """A source file: its path below the root, its size in bytes, and a stamp that changes with the file."""

    name: str
    size: int
    stamp: str


class Place:
    """A folder in some storage; each process reopens it from its address.

    Parameters
    ----------
    address : str
        A path or ``protocol://...``.

    Raises
    ------
    ConfigError
        For a protocol that fsspec does not know, or an address it cannot read.
    AudioFileError
        If the protocol connects immediately, and the server does not respond or refuses access.
    MissingExtraError
        Without fsspec, or without the package the protocol needs.
    """

    def __init__(self, address: str) -> None:
        if find_spec("fsspec") is None:
            raise MissingExtraError("rtdenoise batch needs more packages: pip install 'rtdenoise[batch]'")
        from fsspec.core import url_to_fs

        self.address = address
        try:
            self._fs, root = url_to_fs(address)
        except ImportError as error:
            raise MissingExtraError(f"{address}: {_text(error)}") from error
        except ValueError as error:
            raise ConfigError(f"{address}: {_text(error)}") from error
        except Exception as error:  # every protocol has its own errors
            raise AudioFileError(f"{address}: cannot be reached: {_text(error)}") from error
        self.root = str(root).rstrip("/") or "/"

    @property
    def is_local(self) -> bool:
        """Whether its files are local files."""
        protocol: Any = self._fs.protocol
        return "file" in ((protocol,) if isinstance(protocol, str) else protocol)

    def is_inside(self, other: Place) -> bool:
        """Whether this folder is the other one or lies below it, as far as the addresses show."""
        if self.is_local and other.is_local:
            return Path(self.root).resolve().is_relative_to(Path(other.root).resolve())
        mine, others = (
            (place._fs.protocol, *(place._fs.storage_options.get(key) for key in ("host", "port")))
            for place in (self, other)
        )
        below, above = (PurePosixPath(posixpath.normpath(place.root)) for place in (self, other))
        return mine == others and below.is_relative_to(above)

    def path(self, name: str) -> str:
        """Full path of a file below the root."""
        return f"{self.root.rstrip('/')}/{name}"

    def audio(self, left_out: dict[str, str] | None = None) -> list[Found]:
        """Every audio file below the root, sorted by name, without hidden files and our own outputs.

        Parameters
        ----------
        left_out : dict, optional
            Written: other possible recordings by name below the root, with the reason they were skipped.  Files without
            an audio extension are inspected on this machine only.

        Raises
        ------
        AudioFileError
            If the folder cannot be read or holds no audio.
        """
        try:
            is_folder = self._ask("read", self._fs.isdir, self.root)
            listed: dict[str, dict[str, Any]] = self._ask("read", self._fs.find, self.root, detail=True)
        except (FileNotFoundError, NotADirectoryError):
            is_folder = False
        if not is_folder:
            raise AudioFileError(f"{self.address}: no such folder")
        prefix = self.root.rstrip("/") + "/"
        found = [
            Found(path.removeprefix(prefix), int(info.get("size") or 0), stamp_of(info))
            for path, info in sorted(listed.items())
            if _is_known(name := PurePosixPath(path.removeprefix(prefix))) and not _is_ours(name)
        ]
        others = self._others([path.removeprefix(prefix) for path in sorted(listed)])
        if not found:
            raise AudioFileError(
                left_out_line(self.address, others)
                or f"{self.address}: holds no audio ({' '.join(sorted(AUDIO_SUFFIXES | MEDIA_SUFFIXES))})"
            )
        if left_out is not None:
            left_out.update(others)
        return found

    def _others(self, names: Sequence[str]) -> dict[str, str]:
        """Possible recordings without an audio extension, and the reason each is skipped."""
        found: dict[str, str] = {}
        for name in names:
            path = PurePosixPath(name)
            if _is_known(path) or _is_ours(path):
                continue
            if path.suffix.lower() in RAW_SUFFIXES:
                found[name] = why_raw(path)
            elif self.is_local and (kind := kind_of_file(Path(self.path(name)))) is not None:
                found[name] = f"{name}: holds {kind.name}, which its name does not say; let it end with {kind.suffix}"
        return found

    def size(self, name: str) -> int | None:
        """Size in bytes of a file below the root, None if it does not exist."""
        try:
            return int(self._ask("read", self._fs.info, self.path(name))["size"])
        except (FileNotFoundError, NotADirectoryError):
            return None

    def fetch(self, name: str, folder: Path) -> Path:
        """A local path for a file below the root: the file itself, or a copy in `folder`."""
        if self.is_local:
            return Path(self.path(name))
        copy = folder / f"source{PurePosixPath(name).suffix}"
        self._ask("read", self._fs.get_file, self.path(name), str(copy))
        return copy

    def put(self, file: Path, name: str, tag: str) -> None:
        """Copy a local file below the root: under a hidden name first, then renamed to `name`.

        `tag` identifies the batch, so that `remove_parts` finds the leftovers of killed processes.
        """
        final = PurePosixPath(self.path(name))
        part = str(final.with_name(f"{_PART}{tag}-{secrets.token_hex(6)}.part"))
        self._ask("written", self._fs.makedirs, str(final.parent), exist_ok=True)
        rename = Path.replace if self.is_local else self._fs.mv
        try:
            self._ask("written", self._fs.put_file, str(file), part)
            self._ask("written", rename, Path(part) if self.is_local else part, str(final))
        except BaseException:
            with suppress(Exception):  # report the original error
                self._fs.rm_file(part)
            raise

    def read_text(self, name: str) -> str:
        """Content of a small file below the root; empty if it does not exist."""
        try:
            return str(self._ask("read", self._fs.cat_file, self.path(name)).decode("utf-8"))
        except (FileNotFoundError, NotADirectoryError, UnicodeDecodeError):
            return ""

    def write_bytes(self, name: str, content: bytes, tag: str) -> None:
        """Write a small file below the root atomically."""
        import tempfile

        with tempfile.TemporaryDirectory(prefix="rtdenoise-") as folder:
            file = Path(folder) / "content"
            file.write_bytes(content)
            self.put(file, name, tag)

    def remove_parts(self, tag: str) -> None:
        """Remove hidden files left by killed processes of this batch, as far as permissions allow."""
        try:
            self._fs.invalidate_cache()
            for path in self._fs.find(self.root):
                name = PurePosixPath(path).name
                if name.startswith(f"{_PART}{tag}-") and name.endswith(".part"):
                    self._fs.rm_file(path)
        except FileNotFoundError:
            return
        except Exception as error:  # noqa: BLE001  # the work is done: leftovers do not undo it
            _log.warning("%s: hidden files ending in .part may be left: %s", self.address, _text(error))

    def _ask(self, verb: str, function: Callable[..., Any], *arguments: Any, **more: Any) -> Any:
        """Call the storage; errors of every protocol become one kind, except for missing files."""
        try:
            return function(*arguments, **more)
        except (FileNotFoundError, NotADirectoryError, AudioFileError):
            raise
        except Exception as error:
            raise AudioFileError(f"{self.address}: cannot be {verb}: {_text(error)}") from error


def stamp_of(info: dict[str, Any]) -> str:
    """A stamp that changes with the file, from whatever metadata the storage reports."""
    keys = ("size", "mtime", "ETag", "etag", "md5Hash", "LastModified", "last_modified", "updated")
    return " ".join(f"{key}={info[key]}" for key in keys if info.get(key) is not None)


def _is_known(path: PurePosixPath) -> bool:
    return path.suffix.lower() in AUDIO_SUFFIXES | MEDIA_SUFFIXES


def _is_ours(path: PurePosixPath) -> bool:
    """Whether the path is hidden, one of our own outputs, or below such a folder."""
    return any(part.startswith(".") or PurePosixPath(part).stem.endswith(DENOISED) for part in path.parts)


def _text(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
