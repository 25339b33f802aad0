"""The control socket: a Unix socket that only its user can open, or a loopback port with a secret in a private file."""

from __future__ import annotations

import json
import os
import secrets
import socket
import stat
import warnings
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rtdenoise.errors import DeviceError

HAS_UNIX = hasattr(socket, "AF_UNIX")
_PRIVATE, _PRIVATE_FOLDER = 0o600, 0o700
_PATH_MAX = 100  # systems allow 104 to 108 bytes
_CONNECT_SECONDS = 2.0


def usual_place() -> Path:
    """The default path of the control socket, in the user's runtime folder."""
    from platformdirs import user_runtime_path

    with warnings.catch_warnings():  # where the system has no such folder, another is taken
        warnings.simplefilter("ignore")
        return user_runtime_path("rtdenoise", appauthor=False) / "live.sock"


@dataclass(frozen=True, slots=True)
class Bound:
    """A listening socket, its file, and the secret that requests need; empty if the file's mode protects it."""

    listening: socket.socket
    path: Path
    token: str
    identity: tuple[int, ...]

    def remove(self) -> None:
        """Remove the file, unless another session has replaced it."""
        with suppress(OSError):
            found = self.path.lstat()
            if _identity(found) == self.identity:
                self.path.unlink()


def bind(path: Path, *, unix: bool = HAS_UNIX) -> Bound:
    """Listen at `path`: a Unix socket of mode 0600, or a file of that mode with a port of this machine and a secret.

    Raises
    ------
    DeviceError
        If a session answers there, another kind of file is there, the path is too long, or its folder cannot be made.
    """
    if unix and len(os.fsencode(path)) > _PATH_MAX:
        raise DeviceError(
            f"{path}: a control socket's path has at most {_PATH_MAX} bytes; give --control a shorter one"
        )
    try:
        path.parent.mkdir(mode=_PRIVATE_FOLDER, parents=True, exist_ok=True)
        _clear(path)
        with ExitStack() as stack:  # closed if a step fails
            listening, token = _unix(path, stack) if unix else _loopback(path, stack)
            found = path.lstat()
            stack.pop_all()
    except OSError as error:
        raise DeviceError(f"{path}: no control socket can be made there: {error.strerror or error}") from error
    return Bound(listening, path, token, _identity(found))


def connect(path: Path) -> tuple[socket.socket, str]:
    """Connect to the session that listens at `path`; also returns the secret that its requests need.

    Raises
    ------
    DeviceError
        If nobody listens there.
    """
    try:
        if stat.S_ISSOCK(path.lstat().st_mode):
            connection = socket.socket(socket.AF_UNIX)
            where: Any = str(path)
            token = ""
        else:
            content = json.loads(path.read_text("ascii"))
            connection, where, token = socket.socket(), ("127.0.0.1", int(content["port"])), str(content["token"])
        connection.settimeout(_CONNECT_SECONDS)
        try:
            connection.connect(where)
        except OSError:
            connection.close()
            raise
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DeviceError(
            f"{path}: no session listens there; start one with `rtdenoise live --control {path}`"
        ) from error
    return connection, token


def _clear(path: Path) -> None:
    """Remove the socket of a killed session; anything else is an error and stays."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    if is_answered(path):
        raise DeviceError(f"{path}: a session listens there already; give --control another path, or end that one")
    if not (stat.S_ISSOCK(found.st_mode) or _is_ours(path)):
        raise DeviceError(f"{path}: exists and is no control socket; give --control another path")
    path.unlink()


def _identity(found: os.stat_result) -> tuple[int, ...]:
    return found.st_dev, found.st_ino, found.st_mtime_ns  # inode numbers are soon reused


def is_answered(path: Path) -> bool:
    """Whether a session listens there."""
    try:
        connect(path)[0].close()
    except DeviceError:
        return False
    return True


def _is_ours(path: Path) -> bool:
    try:
        return set(json.loads(path.read_text("ascii"))) == {"port", "token"}
    except (OSError, ValueError, TypeError):
        return False


def _unix(path: Path, stack: ExitStack) -> tuple[socket.socket, str]:
    listening = stack.enter_context(socket.socket(socket.AF_UNIX))
    with suppress(OSError):  # on Linux the file gets this mode at once
        os.fchmod(listening.fileno(), _PRIVATE)
    listening.bind(str(path))
    path.chmod(_PRIVATE)
    return listening, ""


def _loopback(path: Path, stack: ExitStack) -> tuple[socket.socket, str]:
    listening, token = stack.enter_context(socket.socket()), secrets.token_urlsafe(24)
    listening.bind(("127.0.0.1", 0))
    content = json.dumps({"port": listening.getsockname()[1], "token": token})
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _PRIVATE), "w", encoding="ascii") as file:
        file.write(content)
    return listening, token
