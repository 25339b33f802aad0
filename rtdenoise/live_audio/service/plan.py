"""A plan of files and commands: shown, carried out whole or not at all, and never over files of somebody else."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rtdenoise.disk.atomic import make_folder, remove_empty, write_bytes
from rtdenoise.errors import ConfigError, DeviceError

MARK = "Written by `rtdenoise install`; `rtdenoise uninstall` removes it."
_COMMAND_SECONDS = 60.0  # systemd waits for a service that ends


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A program to run; `may_fail` where it does no harm, as stopping what does not run."""

    words: tuple[str, ...]
    may_fail: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """In this order: commands `before`, files to `remove`, files to `write`, commands `after`; `notes` for the user."""

    before: tuple[Command, ...] = ()
    remove: tuple[Path, ...] = ()
    write: tuple[tuple[Path, str], ...] = ()
    after: tuple[Command, ...] = ()
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "before": [asdict(command) for command in self.before],
            "remove": [str(path) for path in self.remove],
            "write": [{"path": str(path), "content": content} for path, content in self.write],
            "after": [asdict(command) for command in self.after],
            "notes": list(self.notes),
        }


def is_ours(path: Path) -> bool:
    """Whether this is a file that an installation wrote, or a link to one."""
    return MARK in (_content(path) or b"").decode("utf-8", "replace")


def carry_out(plan: Plan, tell: Callable[[str], None]) -> None:
    """Do it, telling each step in a line; where a file cannot be written, all files are as they were before.

    Raises
    ------
    ConfigError
        If a file that would be written is there and not of an installation; nothing has been done then.
    AudioFileError
        If a file cannot be written.
    DeviceError
        If a command fails.
    """
    for path, _ in plan.write:
        if (path.exists() or path.is_symlink()) and not is_ours(path):
            raise ConfigError(f"{path} exists and was not written by `rtdenoise install`; move it away and try again")
    for command in plan.before:
        _run(command, tell)
    _change_files(plan, tell)
    for command in plan.after:
        _run(command, tell)


def _change_files(plan: Plan, tell: Callable[[str], None]) -> None:
    before: list[tuple[Path, bytes | None, list[Path]]] = []
    lines = []
    try:
        for path, content in plan.write:
            was = _content(path)
            if was == content.encode():
                lines.append(f"unchanged {path}")
                continue
            before.append((path, was, make_folder(path.parent)))
            write_bytes(path, content.encode())
            lines.append(f"wrote {path}")
    except BaseException:
        for path, was, made in reversed(before):
            with suppress(OSError):
                if was is None:
                    path.unlink(missing_ok=True)
                else:
                    write_bytes(path, was)
                remove_empty(made)
        raise
    for line in lines:
        tell(line)
    for path in plan.remove:
        path.unlink(missing_ok=True)
        tell(f"removed {path}")


def _content(path: Path) -> bytes | None:
    """What a file holds; None if there is none."""
    try:
        return path.read_bytes()
    except OSError:
        return None


def _run(command: Command, tell: Callable[[str], None]) -> None:
    line = " ".join(command.words)
    try:
        done = subprocess.run(
            command.words,
            capture_output=True,
            text=True,
            timeout=_COMMAND_SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        failure = " ".join(done.stderr.split()) or f"exit code {done.returncode}" if done.returncode else ""
    except (OSError, subprocess.TimeoutExpired) as error:
        failure = getattr(error, "strerror", None) or f"no answer within {_COMMAND_SECONDS:.0f} s"
    if not failure:
        tell(f"ran {line}")
    elif not command.may_fail:
        raise DeviceError(f"`{line}` failed: {failure}; run it again, or take back the rest with `rtdenoise uninstall`")
