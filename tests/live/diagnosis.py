"""What a session that does not get on is waiting for: its processes, their threads, and the JACK server's side."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from rtdenoise.live_audio.session import Session

_LAST_LINES = 12


def diagnosis(session: Session, told: list[str]) -> str:
    """Lines for whoever reads a failure; parts that this system does not show are left out."""
    lines = [*_session(session), "told:", *(f"  {line}" for line in told[-_LAST_LINES:])]
    for depth, process in _tree(os.getpid()):
        lines += _process(process, "  " * depth)
    return "\n".join([*lines, *_jack()])


def _session(session: Session) -> Iterator[str]:
    stage, now = session._stage, time.monotonic()
    yield (
        f"{session.state}; stage {stage.name!r} ends in {stage.deadline - now:.1f} s; "
        f"attempts {session._attempts}, reopened {session.reopened}, phase {session.region.live['phase'][0]}"
    )
    leaving = [("leaving", one.worker) for one in session._departing._leaving]
    for name, worker in [("worker", session._worker), *leaving]:
        if worker is not None:
            words = [f"  {line}" for line in list(worker.words)[-_LAST_LINES:]]
            yield "\n".join([f"{name} {worker.pid}, code {worker._process.returncode}", *words])


def _tree(root: int, depth: int = 0) -> Iterator[tuple[int, Path]]:
    """A process and all below it."""
    yield depth, Path(f"/proc/{root}")
    for folder in Path("/proc").glob("[0-9]*"):
        if _text(folder / "stat").rpartition(")")[2].split()[1:2] == [str(root)]:
            yield from _tree(int(folder.name), depth + 1)


def _process(folder: Path, indent: str) -> Iterator[str]:
    """What it is, and where in the system's kernel each of its threads waits."""
    yield f"{indent}{folder.name} {_text(folder / 'cmdline').replace(chr(0), ' ')[:150]}"
    for thread in sorted(folder.glob("task/*")):
        state = _text(thread / "stat").rpartition(")")[2].split()[:1]
        stack = [line.split()[-1].partition("+")[0] for line in _text(thread / "stack").splitlines()]
        waits = " < ".join(stack[:5]) or _text(thread / "wchan")
        call = _text(thread / "syscall").split()[:2]
        yield f"{indent}  {thread.name} {_text(thread / 'comm').strip()} {' '.join([*state, *call])}: {waits}"


def _jack() -> Iterator[str]:
    """Who is known to the server of this process, and the last that it said."""
    yield f"in /dev/shm: {', '.join(sorted(p.name for p in Path('/dev/shm').glob('jack*')))}"
    log = Path(os.environ.get("ALSA_CONFIG_PATH", "/nowhere")).parent / "jackd.log"
    yield from (f"jackd: {line}" for line in _text(log).splitlines()[-_LAST_LINES:])


def _text(path: Path) -> str:
    with suppress(OSError):
        return path.read_text(encoding="utf-8", errors="replace")
    return ""
