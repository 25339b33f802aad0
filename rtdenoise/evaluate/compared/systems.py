"""The systems compared: this package's methods, peers in Python, and any other program, as one function each."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from rtdenoise.errors import ConfigError
from rtdenoise.evaluate.compared import external, peers
from rtdenoise.evaluate.machine import installed_version
from rtdenoise.rates import resample
from rtdenoise.typing import F32

NOISY = "noisy"
NARROW_HZ, WIDE_HZ = 8000, 16000

Enhance = Callable[[F32], F32]


@dataclass(frozen=True, slots=True)
class System:
    """One system that enhances a noisy signal; picklable.

    `kind`: "noisy" (unprocessed), "own", "peer" or "command".  `spec`: ``METHOD:PRESET`` of this package, the name of
    a peer or the command line of a program.  `delay_samples`: of a program, at 16 kHz, to be compensated.
    """

    name: str
    kind: str
    spec: str
    delay_samples: int = 0


def parse_own(text: str) -> System:
    """``METHOD``, ``METHOD:PRESET``, ``CAN:MODEL``, each with ``+KEY=VALUE`` for single parameters.

    Raises
    ------
    ConfigError
        If such a method cannot be built.
    """
    system = System(text, "own", text)
    own_settings(text)
    return system


def parse_peer(text: str) -> System:
    """A peer by name, or ``NAME=command {in} {out}`` for any program.

    Raises
    ------
    ConfigError
        For an unknown peer, a command without ``{in}`` and ``{out}``, or one whose program is missing.
    """
    name, equals, command = text.partition("=")
    if not equals:
        peers.peer(text)
        return System(text, "peer", text)
    if not name or "{in}" not in command or "{out}" not in command:
        raise ConfigError(f"--peer {text!r}: give NAME=command with {{in}} and {{out}} for the two WAV files")
    program = external.words_of(command)[0]
    if shutil.which(program) is None:
        raise ConfigError(f"--peer {name}: there is no program {program!r}; give its full path")
    return System(name, "command", command)


def choose(own: Sequence[str], others: Sequence[str]) -> tuple[list[System], dict[str, str]]:
    """The noisy input, own methods and the peers that run here; and why the others do not.

    Raises
    ------
    ConfigError
        If a name matches nothing, or is given twice.
    """
    chosen, missing = [System(NOISY, NOISY, ""), *map(parse_own, own)], {}
    for system in map(parse_peer, others):
        reason = peers.missing_reason(system.spec) if system.kind == "peer" else ""
        if reason:
            missing[system.name] = reason
        else:
            chosen.append(system)
    names = [system.name for system in chosen]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"given twice: {', '.join(twice)}")
    return chosen, missing


def own_settings(spec: str) -> Any:
    """Parse ``METHOD:PRESET+KEY=VALUE`` into settings; a CAN's preset is its model.

    Raises
    ------
    ConfigError
        For an unknown method, preset, key or value.
    """
    from rtdenoise.config import load_settings, merge, method_name, parse_assignments

    head, *sets = spec.split("+")
    method, _, preset = head.partition(":")
    try:
        overrides = parse_assignments(sets)
    except ConfigError as error:
        raise ConfigError(f"{spec}: behind + stands {error}") from error
    if preset and method_name(method) == "CAN":
        overrides, preset = merge({"can": {"model": preset}}, overrides), ""
    return load_settings(method=method, preset=preset or None, overrides=overrides)


@lru_cache(maxsize=32)
def enhancer(system: System, rate_hz: int) -> Enhance:
    """The function of a system: ``(n,)`` float32 at `rate_hz` in, the same length out, aligned.

    Peers run at 16 kHz, with resampling before and after if `rate_hz` differs; above 16 kHz those run at 48 kHz that
    can.
    """
    if system.kind == NOISY:
        return lambda noisy: noisy
    if system.kind == "own":
        return _own(system.spec, rate_hz)
    if system.kind == "peer" and rate_hz > WIDE_HZ and system.spec in peers.FULL_BAND:
        return _at_its_rate(peers.FULL_BAND[system.spec], rate_hz, peers.FULL_BAND_RATE_HZ)
    run = peers.peer(system.spec) if system.kind == "peer" else external.runner(system.spec, system.delay_samples)
    return _at_its_rate(run, rate_hz, WIDE_HZ)


def _own(spec: str, rate_hz: int) -> Enhance:
    from rtdenoise.registry import build
    from rtdenoise.streaming.whole import enhance_whole

    denoiser = build(own_settings(spec), rate_hz)

    def run(noisy: F32) -> F32:
        denoiser.reset()
        return enhance_whole(denoiser, noisy)

    return run


def _at_its_rate(run: Enhance, rate_hz: int, its_hz: int) -> Enhance:
    if rate_hz == its_hz:
        return run
    import numpy as np

    from rtdenoise.evaluate.measures.metrics import shift

    def adapted(noisy: F32) -> F32:
        raised = resample(noisy, rate_hz, its_hz).astype(np.float32)
        return shift(resample(run(raised), its_hz, rate_hz).astype(np.float32), 0, noisy.size)

    return adapted


def find_delay(system: System, speech: F32) -> System:
    """A program with its delay, found by cross-correlation of clean speech in and out; other systems unchanged.

    Parameters
    ----------
    system : System
    speech : (n,) float32 at 16 kHz

    Raises
    ------
    ConfigError
        If the program fails.
    """
    if system.kind != "command":
        return system
    try:
        return replace(system, delay_samples=external.delay_of(system.spec, speech))
    except external.CommandError as error:
        raise ConfigError(f"peer {system.name}: {error}") from error


def latency_ms(system: System) -> float | None:
    """Delay of the system including the block it gathers; None if it needs the whole file or the delay is unknown."""
    if system.kind == NOISY:
        return 0.0
    if system.kind == "peer":
        return peers.LATENCY_MS[system.spec]
    if system.kind == "command":
        return 1e3 * system.delay_samples / WIDE_HZ
    from rtdenoise.registry import build

    denoiser = build(own_settings(system.spec), WIDE_HZ)
    return 1e3 * (denoiser.latency_samples + denoiser.hop) / WIDE_HZ


def fingerprint(system: System) -> str:
    """Changes when the system's behaviour may have changed; empty for own methods, which are always rerun."""
    if system.kind == "own":
        return ""
    parts = [system.kind, system.spec, str(system.delay_samples)]
    if system.kind == "peer":
        parts += [installed_version(package) for package in ("soxr", peers.PACKAGES[system.spec])]
        parts.append(hashlib.sha256(Path(peers.__file__).read_bytes()).hexdigest())
    if system.kind == "command":
        for word in external.words_of(system.spec):
            path = Path(shutil.which(word) or word)
            if path.is_file():
                parts += [str(path.stat().st_size), str(path.stat().st_mtime_ns)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
