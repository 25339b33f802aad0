"""Audio devices: list them, find one by name, and explain errors when opening one fails.

PortAudio can hang when its server dies, so the supervising program lists devices in a process that it can kill
(`list_devices`); only audio processes call the ``_here`` functions.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rtdenoise.child.lines import message
from rtdenoise.child.questions import answer, ask
from rtdenoise.errors import DeviceError

DEFAULT_NAMES = {"input": ("mic", "microphone", "default"), "output": ("speaker", "speakers", "default")}
_PREFIXES = {"input": ("mic:", "microphone:"), "output": ("speaker:", "speakers:")}
_LIST_TIMEOUT_SECONDS = 8.0
_ABOUT = "about"
_SOUND = Path("/dev/snd")
CONNECT_ONE = "connect one, or start the sound server (PipeWire or JACK)"
ALLOW_AND_LOG_IN = 'add yourself to the group audio (sudo usermod -aG audio "$USER") and log in again'
LOG_IN_AGAIN = "you are in the group {group} since you logged in: log out and in again"
_LATENCY_MAX_SECONDS = 10.0  # PortAudio 19.6 subtracts a JACK period from 0, unsigned: about a day


@message
@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One device as PortAudio lists it; latencies in seconds, 0 channels for a direction it lacks."""

    index: int
    name: str
    host_api: str
    channels_in: int
    channels_out: int
    rate_hz: int
    latency_in_seconds: float
    latency_out_seconds: float
    default_input: bool
    default_output: bool


def sane_latency(seconds: float) -> float:
    """A reported latency, or 0 if it is implausible."""
    return float(seconds) if 0.0 <= seconds < _LATENCY_MAX_SECONDS else 0.0


def list_devices(timeout_seconds: float = _LIST_TIMEOUT_SECONDS) -> list[Device]:
    """All devices, listed in a separate process that is killed after this time.

    Raises
    ------
    DeviceError
        If PortAudio is missing or does not answer.
    """
    what = "PortAudio cannot list devices"
    found: list[Device] = ask("rtdenoise.live_audio.audio.devices", timeout_seconds=timeout_seconds, what=what)
    return found


def about_portaudio() -> dict[str, Any]:
    """PortAudio's "version" and its "host_apis": names with their number of devices; queried like `list_devices`.

    Raises
    ------
    DeviceError
        If PortAudio is missing or does not answer.
    """
    what = "PortAudio does not say what it is"
    answer: dict[str, Any] = ask(
        "rtdenoise.live_audio.audio.devices", _ABOUT, timeout_seconds=_LIST_TIMEOUT_SECONDS, what=what
    )
    return answer


def about_portaudio_here() -> dict[str, Any]:
    """As `about_portaudio`, by PortAudio in this process."""
    sd = load_portaudio_here()
    apis = {api["name"]: len(api["devices"]) for api in sd.query_hostapis()}
    return {"version": sd.get_portaudio_version()[1], "host_apis": apis}


def load_portaudio_here() -> Any:
    """The sounddevice module.

    Raises
    ------
    DeviceError
        If the PortAudio library is not installed or finds no sound system.
    """
    try:
        import sounddevice
    except OSError as error:
        raise DeviceError(
            "the PortAudio library is missing; install it "
            "(Debian, Ubuntu: apt install libportaudio2; macOS: brew install portaudio)"
        ) from error
    except Exception as error:  # PortAudioError cannot be named before the import worked
        raise DeviceError(f"PortAudio does not start: {' '.join(str(error).split())}") from error
    return sounddevice


def list_devices_here() -> list[Device]:
    """All devices, by PortAudio in this process; it lists them once per process."""
    sd = load_portaudio_here()
    apis = sd.query_hostapis()
    default_in, default_out = _defaults(sd)
    return [
        Device(
            index=index,
            name=entry["name"],
            host_api=apis[entry["hostapi"]]["name"],
            channels_in=entry["max_input_channels"],
            channels_out=entry["max_output_channels"],
            rate_hz=round(entry["default_samplerate"]),
            latency_in_seconds=sane_latency(entry["default_low_input_latency"]),
            latency_out_seconds=sane_latency(entry["default_low_output_latency"]),
            default_input=index == default_in,
            default_output=index == default_out,
        )
        for index, entry in enumerate(sd.query_devices())
    ]


def _defaults(sd: Any) -> tuple[int, int]:
    found = []
    for kind in ("input", "output"):
        try:
            found.append(int(sd.query_devices(kind=kind)["index"]))
        except (sd.PortAudioError, ValueError):
            found.append(-1)
    return found[0], found[1]


def find_device(devices: list[Device], wanted: str, kind: str) -> Device:
    """Find the device that matches a name given by the user.

    Parameters
    ----------
    devices : list of Device
    wanted : str
        "mic" or "speaker" for the default one; an index; or parts of the name and host API in any case, in order,
        optionally after "mic:" or "speaker:".
    kind : "input" or "output"

    Raises
    ------
    DeviceError
        If there is no device, no match or more than one; the message lists the candidates.
    """
    able = [d for d in devices if (d.channels_in if kind == "input" else d.channels_out) > 0]
    if not able:
        raise DeviceError(f"there is no {kind} device; {why_none()}, and see `rtdenoise devices`")
    if wanted.lower() in DEFAULT_NAMES[kind]:
        chosen = [d for d in able if (d.default_input if kind == "input" else d.default_output)]
        return chosen[0] if chosen else able[0]
    name = wanted
    for prefix in _PREFIXES[kind]:
        if name.lower().startswith(prefix):
            name = name[len(prefix) :]
    if name.strip().isdigit():
        matches = [d for d in able if d.index == int(name)]
    else:
        exact = [d for d in able if d.name.lower() == name.strip().lower()]
        matches = exact or [d for d in able if _matches(name, d)]
    if len(matches) == 1:
        return matches[0]
    listed = "; ".join(f"{d.index}: {d.name} ({d.host_api})" for d in matches or able)
    if matches:
        raise DeviceError(f"{kind} device {name!r} is ambiguous; give its index or more of its name: {listed}")
    raise DeviceError(
        f"there is no {kind} device {name!r}; there are: {listed}; what another program holds, or you may not use, "
        "is not listed"
    )


def why_none() -> str:
    """Remedy if the sound system lists no device."""
    cards, refused = sound_cards()
    if cards and len(refused) == len(cards):
        return f"you have no permission for {_SOUND}: {how_to_be_allowed(refused[0])}"
    return CONNECT_ONE


def sound_cards() -> tuple[list[Path], list[Path]]:
    """The system's own sound devices, and of them those that this user may not open; none outside Linux."""
    cards = sorted(_SOUND.glob("pcm*")) if sys.platform == "linux" and _SOUND.is_dir() else []
    return cards, [card for card in cards if not os.access(card, os.R_OK | os.W_OK)]


def how_to_be_allowed(card: Path) -> str:
    """How this user can get permission to open a sound device."""
    import getpass
    import grp

    try:
        group = grp.getgrgid(card.stat().st_gid)
        if getpass.getuser() in group.gr_mem and group.gr_gid not in os.getgroups():
            return LOG_IN_AGAIN.format(group=group.gr_name)
    except (KeyError, OSError):
        pass
    return ALLOW_AND_LOG_IN


def _matches(name: str, device: Device) -> bool:
    """All words of `name` occur in order in "name, host API", in any case."""
    text, start = f"{device.name}, {device.host_api}".lower(), 0
    words = name.lower().split()
    for word in words:
        at = text.find(word, start)
        if at < 0:
            return False
        start = at + len(word)
    return bool(words)


def explain(error: Exception, what: str, *, one_system: bool = True) -> str:
    """One line for a PortAudio error: what happened to `what`, and the remedy.

    Parameters
    ----------
    error : Exception
        As sounddevice raised it.
    what : str
        The devices.
    one_system : bool
        Whether all of them belong to one host API; PortAudio has one error code for mixed APIs and for no permission.
    """
    text = " ".join(str(error).split())
    permission = (
        "you have no permission for it; on Linux be in the group audio, on macOS allow the microphone for your terminal"
    )
    mixed = "input and output belong to different sound systems; choose both of one host API (`rtdenoise devices`)"
    remedies = {
        -9997: "it refuses this sample rate; `rtdenoise devices` shows the one it runs at",
        -9998: "it does not have that many channels; try --channels 1 or see `rtdenoise devices`",
        -9985: "it is busy; close the program that uses it, or choose the sound server's device",
        -9996: "it is gone or has no such direction; see `rtdenoise devices`",
        -9993: permission if one_system else mixed,
    }
    code = next((a for a in getattr(error, "args", ()) if isinstance(a, int)), None)
    remedy = permission if "ermission" in text else remedies.get(code) if code is not None else None
    return f"{what} does not open: {remedy or f'{text}; `rtdenoise doctor` looks for the reason'}"


if __name__ == "__main__":
    answer(about_portaudio_here if _ABOUT in sys.argv else list_devices_here)
