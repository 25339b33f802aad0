"""Check whether this machine can run live audio; each check yields a finding and a remedy."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from importlib.util import find_spec

from rtdenoise.cache import entries, folders
from rtdenoise.config import load_settings
from rtdenoise.errors import RtDenoiseError
from rtdenoise.live_audio.audio.desktop import server_name
from rtdenoise.live_audio.audio.devices import about_portaudio, how_to_be_allowed, list_devices, sound_cards, why_none

OK, WARNING, FAILED = "ok", "warning", "failed"
_PACED_SECONDS = 10.0
_BUSY_PERCENT = 50.0
_CLOCK_NS = 1_000_000
_MICROPHONE_SETTINGS = {
    "darwin": "System Settings > Privacy & Security > Microphone: allow your terminal, and start it again",
    "win32": "Settings > Privacy & security > Microphone: let desktop apps access your microphone",
}
_OPEN_SECONDS, _LISTEN_SECONDS = 300.0, 0.5  # the first start at a rate compiles; a dead device ends earlier


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One check: `state` is "ok", "warning" or "failed"; `remedy` is empty if none is needed."""

    name: str
    state: str
    found: str
    remedy: str = ""


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
    remedy = "install one that knows a sound system of this machine (Debian, Ubuntu: apt install libportaudio2)"
    return Finding(name="PortAudio", state=FAILED, found=f"{version}, no host API", remedy=remedy)


def _permissions() -> Finding:
    """Whether the user may open the sound devices; other systems than Linux ask when a program first records."""
    name = "permissions"
    if sys.platform in _MICROPHONE_SETTINGS:
        remedy = f"where the microphone gives only silence: {_MICROPHONE_SETTINGS[sys.platform]}"
        return Finding(name=name, state=OK, found="the microphone's cannot be asked from here", remedy=remedy)
    cards, refused = sound_cards()
    if not cards:
        return Finding(name=name, state=OK, found="none are needed: there is no sound card of the system's own")
    found = f"{len(cards) - len(refused)} of {len(cards)} sound devices of the system may be opened"
    if not refused:
        return Finding(name=name, state=OK, found=found)
    return Finding(name=name, state=WARNING, found=found, remedy=how_to_be_allowed(refused[0]))


def _devices() -> Finding:
    devices = list_devices()
    inputs, outputs = [d for d in devices if d.channels_in], [d for d in devices if d.channels_out]
    apis = sorted({d.host_api for d in devices})
    found = f"{len(inputs)} inputs, {len(outputs)} outputs on {', '.join(apis) or 'no host API'}"
    if inputs and outputs:
        return Finding(name="devices", state=OK, found=found)
    return Finding(name="devices", state=FAILED, found=found, remedy=why_none())


def _streams() -> Finding:
    """Whether the default devices open and deliver callbacks; runs for half a second, silently."""
    from rtdenoise.live_audio.plan import LivePlan
    from rtdenoise.live_audio.session import Session

    plan = LivePlan(settings=load_settings(method="bypass", preset="low"), silent=True)
    told: list[str] = []
    session = Session(plan, told.append)
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
        found = told[-1] if told else f"no sound within {_OPEN_SECONDS:.0f} s"
        return Finding(
            name="streams", state=FAILED, found=found, remedy="see `rtdenoise devices`; close other programs"
        )
    devices = session.monitor.devices
    names = " -> ".join(devices[key]["name"] for key in ("source", "target") if devices.get(key))
    found = f"{names} at {devices['rate']:.0f} Hz: {report['callbacks']} blocks, {report['lost']} samples lost"
    return Finding(name="streams", state=OK, found=found)


def _priority() -> Finding:
    from rtdenoise.child.priority import try_priority

    grant = try_priority()
    state = OK if grant.granted else WARNING
    return Finding(
        name="priority",
        state=state,
        found=grant.detail if grant.granted else "refused",
        remedy="" if grant.granted else grant.detail,
    )


def _memory() -> Finding:
    from rtdenoise.child.scheduling import lock_memory, unlock_memory

    grant = lock_memory()
    unlock_memory()
    if grant.granted or sys.platform != "linux":
        return Finding(name="memory lock", state=OK, found=grant.detail)
    return Finding(name="memory lock", state=WARNING, found="refused", remedy=grant.detail)


def _clock() -> Finding:
    """Worst overrun of a 1 ms sleep, out of 300."""
    worst = 0
    for _ in range(300):
        began = time.monotonic_ns()
        time.sleep(0.001)
        worst = max(worst, time.monotonic_ns() - began - 1_000_000)
    late = f"timers are up to {worst / 1e6:.1f} ms late"
    if worst < 5 * _CLOCK_NS:
        return Finding(name="clock", state=OK, found=late)
    return Finding(
        name="clock",
        state=WARNING,
        found=late,
        remedy="the machine is busy or saves power; close programs, try --latency safe",
    )


def _compiler() -> Finding:
    import numba

    if numba.config.DISABLE_JIT:
        return Finding(name="compiler", state=FAILED, found="it is off", remedy="unset NUMBA_DISABLE_JIT")
    return Finding(name="compiler", state=OK, found=f"numba {numba.__version__}")


def _compiled_code() -> Finding:
    """Whether and where compiled code is cached, so that only the first start is slow."""
    name = "compiled code"
    folder, first, by_user = entries.writable(), folders.chosen(), folders.named()
    remedy = f"set {folders.VARIABLE} to a folder that you can write"
    if folder is None:
        return Finding(name=name, state=WARNING, found="cannot be kept: every start compiles", remedy=remedy)
    usage = entries.usage(folder)
    found = f"kept in {folder} ({usage.n_bytes / 1e6:.0f} MB in {usage.n_entries} entries"
    found += f", chosen by {by_user[0]})" if by_user is not None and folder == by_user[1] else ")"
    if folder != first:
        found += f", because {first} cannot be written" if first is not None else ", because there is no home folder"
        return Finding(name=name, state=WARNING, found=f"{found}; it may be emptied at any time", remedy=remedy)
    if folders.others_may_write(folder):
        found += "; others can write there: their files are not used, but they can remove yours"
        return Finding(name=name, state=WARNING, found=found, remedy=f"chmod go-w {folder}")
    return Finding(name=name, state=OK, found=found)


def _weights() -> Finding:
    """Number format of the weights of compiled networks on this processor."""
    from rtdenoise.kernels.half import converts_halves

    if converts_halves():
        found = "16-bit floats, which this processor converts by an instruction"
    else:
        found = "32-bit floats (twice the memory), because this processor cannot convert 16-bit ones"
    return Finding(name="network weights", state=OK, found=found)


def _engines() -> Finding:
    """Inference engines for networks; LiteRT is optional and needed by only a few."""
    name = "network engines"
    if find_spec("ai_edge_litert") is not None:
        return Finding(name=name, state=OK, found=f"compiled code, LiteRT {metadata.version('ai-edge-litert')}")
    found = "compiled code; not LiteRT, which only networks over samples and 8 bits need"
    return Finding(name=name, state=OK, found=found, remedy="where they are wanted: pip install 'rtdenoise[litert]'")


def _desktop() -> Finding:
    name = "virtual microphone"
    if sys.platform != "linux":
        return Finding(name=name, state=OK, found="by a driver; see --output virtual-mic")
    if shutil.which("pactl") is None:
        return Finding(name=name, state=WARNING, found="pactl is missing", remedy="apt install pulseaudio-utils")
    server = server_name()
    if server:
        return Finding(name=name, state=OK, found=f"by {server}")
    remedy = "start PipeWire (with pipewire-pulse) or PulseAudio; only --output virtual-mic needs it"
    return Finding(name=name, state=WARNING, found="no sound server answers pactl", remedy=remedy)


def _sound_server() -> Finding:
    """Warn about PulseAudio through ALSA, the one host that PortAudio does not handle well."""
    if server_name() == "pulseaudio":
        return Finding(
            name="sound server",
            state=WARNING,
            found="PulseAudio: input and output run as two streams, some 20 ms later than on PipeWire or JACK",
            remedy="apt install pipewire-audio (it replaces PulseAudio), or use JACK",
        )
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
    found = f"{p50:.1f} % of each hop of {1000 * hop_seconds:.1f} ms (p99 {p99:.1f} %)"
    if p99 < _BUSY_PERCENT:
        return Finding(name=f"method {method}", state=OK, found=found)
    state = FAILED if p50 > 100.0 else WARNING
    remedy = "a longer preset, fewer programs, or another method"
    return Finding(name=f"method {method}", state=state, found=found, remedy=remedy)


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
}
