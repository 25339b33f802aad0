"""One case in a process of its own, so that a crash, a hang or something left behind is seen and named."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

SECONDS_MAX = 90.0  # a busy machine compiles for long
_BYTES_MAX = 6 << 30  # of address space: a header that asks for more gets a MemoryError, as on a small machine


@dataclass(frozen=True)
class Ended:
    """How a case ended: exit code (negative: a signal; None: too slow), standard error, files left in its folder."""

    code: int | None
    err: str
    files: tuple[str, ...]


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """An empty folder, removed afterwards."""
    place = Path(tempfile.mkdtemp(prefix="fuzz-"))
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def run_apart(case: Callable[[], int], place: Path, stdin: Path | None = None) -> Ended:
    """Call `case` in a forked process whose current folder is `place`; its return value is the exit code."""
    err = place.with_name(place.name + ".err")
    child = os.fork()
    if child == 0:
        _be_the_child(case, place, stdin, err)
    code = _wait(child)
    text = err.read_text(errors="backslashreplace")
    err.unlink()
    files = tuple(sorted(str(p.relative_to(place)) for p in place.rglob("*")))
    return Ended(code, text, files)


def _be_the_child(case: Callable[[], int], place: Path, stdin: Path | None, err: Path) -> None:
    code = 99
    try:
        os.chdir(place)
        for number, name, flags in (
            (0, stdin or Path(os.devnull), os.O_RDONLY),
            (1, Path(os.devnull), os.O_WRONLY),
            (2, err, os.O_WRONLY | os.O_CREAT),
        ):
            opened = os.open(name, flags, 0o600)
            os.dup2(opened, number)
            os.close(opened)
        sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115 - pytest has its own
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (_BYTES_MAX, _BYTES_MAX))
        code = case()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:  # noqa: BLE001 - all of it goes to standard error, and is a finding
        os.write(2, traceback.format_exc().encode(errors="backslashreplace"))
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.flush()
        os._exit(code & 0xFF)


def _wait(child: int) -> int | None:
    until = time.monotonic() + SECONDS_MAX
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.001)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None
