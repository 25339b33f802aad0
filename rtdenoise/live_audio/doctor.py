"""Check whether this machine can run live audio; each check yields a finding and a remedy."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from importlib import metadata
from importlib.util import find_spec
from typing import Any

from rtdenoise.cache import entries, folders
from rtdenoise.config import load_settings
from rtdenoise.errors import RtDenoiseError
from rtdenoise.live_audio import troubles
from rtdenoise.live_audio.audio.desktop import server_name
from rtdenoise.live_audio.audio.devices import about_portaudio, how_to_be_allowed, list_devices, sound_cards, why_none
from rtdenoise.live_audio.troubles import FAILED, OK, WARNING, Finding

__all__ = ["FAILED", "OK", "WARNING", "Finding", "examine"]

_PACED_SECONDS = 10.0
_BUSY_PERCENT = 50.0
_CLOCK_NS = 1_000_000
_CANNOT_ASK = {"darwin": troubles.SILENT_ON_A_MAC, "win32": troubles.SILENT_ON_WINDOWS}
_OPEN_SECONDS, _LISTEN_SECONDS = 300.0, 0.5  # the first start at a rate compiles; a dead device ends earlier


def examine(methods: tuple[str, ...], seconds: float = _PACED_SECONDS) -> Iterator[Finding]:
    """Run all checks in turn, yielding each finding as it completes.

    Parameters
    ----------
    methods : tuple of str
        Methods to run in real time for `seconds` each.
    """
    for name, check in _CHECKS.items():
        yield _safely(name, check, "restart the sound server and try again")
    for method in methods:
        yield _safely(f"method {method}", partial(paced, method, seconds), f"use another method than {method}")


def _safely(name: str, check: Callable[[], Finding], remedy: str) -> Finding:
    """Finding of a check, or of its failure; the error's remedy, after its semicolon, overrides `remedy`."""
    try:
        return check()
    except (RtDenoiseError, OSError, ImportError) as error:
        found, _, own = str(error).partition("; ")
        if isinstance(error, ModuleNotFoundError):
            own = "install rtdenoise again"
        return Finding(name=name, state=FAILED, found=found, remedy=own or remedy)


def _portaudio() -> Finding:
    about = about_portaudio()
    apis = [f"{name} ({n or 'no'} device{'s' * (n != 1)})" for name, n in about["host_apis"].items()]
    version = about["version"].partition(",")[0].removeprefix("PortAudio ")  # followed by a commit hash
    if apis:
        return Finding(name="PortAudio", state=OK, found=f"{version}, host APIs: {', '.join(apis)}")
    return troubles.NO_HOST_API.finding(version=version)


def _permissions() -> Finding:
    """Whether the user may open the sound devices; other systems than Linux ask when a program first records."""
    name = "permissions"
    if sys.platform in _CANNOT_ASK:
        return _CANNOT_ASK[sys.platform].finding()
    cards, refused = sound_cards()
    if not cards:
        return Finding(name=name, state=OK, found="none are needed: there is no sound card of the system's own")
    allowed = len(cards) - len(refused)
    if refused:
        remedy = how_to_be_allowed(refused[0])
        return troubles.NOT_PERMITTED.finding(remedy=remedy, allowed=allowed, cards=len(cards))
    found = troubles.NOT_PERMITTED.found.format(allowed=allowed, cards=len(cards))
    return Finding(name=name, state=OK, found=found)


def _devices() -> Finding:
    devices = list_devices()
    inputs, outputs = [d for d in devices if d.channels_in], [d for d in devices if d.channels_out]
    apis = sorted({d.host_api for d in devices})
    facts: dict[str, Any] = {"inputs": len(inputs), "outputs": len(outputs), "hosts": ", ".join(apis) or "no host API"}
    if inputs and outputs:
        return Finding(name="devices", state=OK, found=troubles.NO_DEVICES.found.format(**facts))
    return troubles.NO_DEVICES.finding(remedy=why_none(), **facts)


def _streams() -> Finding:
    """Whether the default devices open and deliver callbacks; runs for half a second, silently."""
    from rtdenoise.live_audio.plan import LivePlan
    from rtdenoise.live_audio.session import Session

    plan = LivePlan(settings=load_settings(method="bypass", preset="low"), silent=True)
    messages: list[str] = []
    session = Session(plan, messages.append)
    try:
        until = time.monotonic() + _OPEN_SECONDS
        while session.step() and session.state != "running" and time.monotonic() < until:
            time.sleep(0.02)
        until = time.monotonic() + _LISTEN_SECONDS
        while session.step() and time.monotonic() < until:
            time.sleep(0.02)
        report = session.monitor.total()
    finally:
        session.close()
    if not report["callbacks"]:
        return troubles.NO_SOUND.finding(message=messages[-1] if messages else f"no sound within {_OPEN_SECONDS:.0f} s")
    devices = session.monitor.devices
    names = " -> ".join(filter(None, devices.names.values()))
    found = f"{names} at {devices.rate_hz:.0f} Hz: {report['callbacks']} blocks, {report['lost']} samples lost"
    return Finding(name="streams", state=OK, found=found)


def _priority() -> Finding:
    from rtdenoise.child.priority import try_priority

    grant = try_priority()
    if grant.granted:
        return Finding(name="priority", state=OK, found=grant.detail)
    return troubles.NO_PRIORITY.finding(remedy=grant.detail)


def _memory() -> Finding:
    from rtdenoise.child.scheduling import lock_memory, unlock_memory

    grant = lock_memory()
    unlock_memory()
    if grant.granted or sys.platform != "linux":
        return Finding(name="memory lock", state=OK, found=grant.detail)
    return troubles.NO_MEMORY_LOCK.finding(remedy=grant.detail)


def _clock() -> Finding:
    """Worst overrun of a 1 ms sleep, out of 300."""
    worst = 0
    for _ in range(300):
        began = time.monotonic_ns()
        time.sleep(0.001)
        worst = max(worst, time.monotonic_ns() - began - 1_000_000)
    if worst < 5 * _CLOCK_NS:
        return Finding(name="clock", state=OK, found=troubles.LATE_TIMERS.found.format(late_ms=worst / 1e6))
    return troubles.LATE_TIMERS.finding(late_ms=worst / 1e6)


def _compiler() -> Finding:
    import numba

    if numba.config.DISABLE_JIT:
        return troubles.NO_COMPILER.finding()
    return Finding(name="compiler", state=OK, found=f"numba {numba.__version__}")


def _compiled_code() -> Finding:
    """Whether and where compiled code is cached, so that only the first start is slow."""
    folder, first, by_user = entries.writable(), folders.chosen(), folders.named()
    if folder is None:
        return troubles.NOTHING_KEPT.finding()
    kept = entries.usage(folder)
    usage = f"{kept.n_bytes / 1e6:.0f} MB in {kept.n_entries} entries"
    if by_user is not None and folder == by_user[1]:
        usage += f", chosen by {by_user[0]}"
    if folder != first:
        reason = "there is no home folder" if first is None else f"{first} cannot be written"
        return troubles.KEPT_ELSEWHERE.finding(folder=folder, usage=usage, reason=reason)
    if folders.others_may_write(folder):
        return troubles.OTHERS_WRITE.finding(folder=folder, usage=usage)
    return Finding(name="compiled code", state=OK, found=f"kept in {folder} ({usage})")


def _weights() -> Finding:
    """How this processor multiplies the weights of compiled networks."""
    from rtdenoise.kernels.eight_bits import vector_bits

    if bits := vector_bits():
        found = f"8 bits, {bits // 16} multiplied by one instruction"
    else:
        found = "8 bits; this processor has no instruction that multiplies pairs of them"
    return Finding(name="network weights", state=OK, found=found)


def _engines() -> Finding:
    """Inference engines for networks; LiteRT is optional and needed by only a few."""
    if find_spec("ai_edge_litert") is not None:
        found = f"compiled code, LiteRT {metadata.version('ai-edge-litert')}"
        return Finding(name="network engines", state=OK, found=found)
    return troubles.NO_LITERT.finding()


def _desktop() -> Finding:
    name = "virtual microphone"
    if sys.platform != "linux":
        return Finding(name=name, state=OK, found="by a driver; see --output virtual-mic")
    if shutil.which("pactl") is None:
        return troubles.NO_PACTL.finding()
    server = server_name()
    if server:
        return Finding(name=name, state=OK, found=f"by {server}")
    return troubles.NO_SOUND_SERVER.finding()


def _service() -> Finding:
    """Whether the microphone starts with the session, runs, and is started by an interpreter that is still there."""
    from rtdenoise.live_audio.control.place import is_answered, usual_place
    from rtdenoise.live_audio.service.systems import starter

    found = starter()
    if found is None:
        return Finding(name="start with the session", state=OK, found="not installed; `rtdenoise install` does it")
    if not found.program.exists():
        return troubles.SERVICE_ORPHANED.finding(path=found.path, program=found.program)
    state = found.state or ("active" if is_answered(usual_place()) else "no session answers")
    if state == "active":
        return Finding(name="start with the session", state=OK, found=f"runs, installed in {found.path}")
    systemd, macos, other = troubles.SERVICE_DOWN.remedies
    remedy = systemd if found.state else macos if sys.platform == "darwin" else other
    return troubles.SERVICE_DOWN.finding(remedy=remedy, path=found.path, state=state)


def _sound_server() -> Finding:
    """Warn about PulseAudio through ALSA, the one host that PortAudio does not handle well."""
    if server_name() == "pulseaudio":
        return troubles.PULSEAUDIO.finding()
    return Finding(name="sound server", state=OK, found="nothing that PortAudio has trouble with")


def paced(method: str, seconds: float) -> Finding:
    """Run a method at 48 kHz in real time and measure the share of each hop's duration it takes."""
    import numpy as np

    from rtdenoise import registry

    settings = load_settings(method=method, default_preset="low")
    denoiser = registry.build(settings, 48000)
    hop_seconds = denoiser.hop / denoiser.sample_rate
    block = np.random.default_rng(0).normal(0.0, 0.05, denoiser.hop).astype(np.float32)
    out = np.zeros_like(block)
    spent: list[float] = []
    due = time.perf_counter()
    while len(spent) * hop_seconds < seconds:
        due += hop_seconds
        time.sleep(max(0.0, due - time.perf_counter()))
        began = time.perf_counter()
        denoiser.process(block, out)
        spent.append(time.perf_counter() - began)
    p50, p99 = (100.0 * float(np.percentile(spent, share)) / hop_seconds for share in (50, 99))
    hop_ms = 1000 * hop_seconds
    slow = replace(troubles.TOO_SLOW, check=f"method {method}", state=FAILED if p50 > 100.0 else WARNING)
    if p99 >= _BUSY_PERCENT:
        return slow.finding(p50=p50, p99=p99, hop_ms=hop_ms)
    return Finding(name=slow.check, state=OK, found=slow.found.format(p50=p50, p99=p99, hop_ms=hop_ms))


_CHECKS: dict[str, Callable[[], Finding]] = {
    "PortAudio": _portaudio,
    "permissions": _permissions,
    "devices": _devices,
    "streams": _streams,
    "sound server": _sound_server,
    "priority": _priority,
    "memory lock": _memory,
    "clock": _clock,
    "compiler": _compiler,
    "compiled code": _compiled_code,
    "network weights": _weights,
    "network engines": _engines,
    "virtual microphone": _desktop,
    "start with the session": _service,
}
