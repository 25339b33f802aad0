"""The virtual microphone as the default of other programs, until the session ends."""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from pathlib import Path

from rtdenoise.errors import DeviceError
from rtdenoise.live_audio.audio.desktop import entries, pactl
from rtdenoise.live_audio.ends.virtual_microphone import NAME, VirtualMicrophone, identity

_CLOSE_SECONDS = 0.5  # a server that hangs must not keep the end
_FILE = "default-microphone"


class DefaultMicrophone:
    """Makes the virtual microphone the default, and gives the former one back.

    What has to be given back is in a file of the user's runtime folder as long as it is not, so that after a session
    that was killed the next one, or a panel, can do it.

    Parameters
    ----------
    microphone : VirtualMicrophone
        One that is open.

    Attributes
    ----------
    taken : bool
        Whether it is the default, by this object.
    """

    def __init__(self, microphone: VirtualMicrophone) -> None:
        self._microphone = microphone
        self._former = ""
        self.taken = False
        with suppress(DeviceError, OSError):
            give_back_leftover()

    def take(self, process: int) -> None:
        """Make it the default; what `process` records goes on coming from the former one.

        Raises
        ------
        DeviceError
            If the sound server does not do it.
        """
        if self.taken:
            return
        former = pactl("get-default-source").strip()
        self._former = former if former != NAME else ""
        _note(self._former)
        self.taken = True
        try:
            self.keep(process, everywhere=True)
            pactl("set-default-source", NAME)
            if (found := pactl("get-default-source").strip()) != NAME:
                raise DeviceError(
                    f"the sound server keeps {found} as the default microphone; choose it in its settings"
                )
        except DeviceError:
            self.give_back()
            raise
        self.keep(process)

    def keep(self, process: int, *, everywhere: bool = False) -> None:
        """Lead what `process` records away from the virtual microphone: a session that hears itself is silent.

        Call it again and again: a server may lead any new stream to its default.

        Parameters
        ----------
        everywhere : bool
            Also name the source of streams that are where they belong: one that was named does not follow the default.
        """
        if not (self.taken and self._former and process):
            return
        sources = [line.split("\t") for line in pactl("list", "short", "sources").splitlines()]
        ours = {fields[0] for fields in sources if fields[1:2] == [NAME]}
        for number, source in _recorded_by(process).items():
            if everywhere or source in ours:
                pactl("move-source-output", number, self._former)

    def give_back(self) -> None:
        """Make the former one the default again, unless the user has chosen another meanwhile.

        Raises
        ------
        DeviceError
            If the sound server does not do it; the next session tries again.
        """
        if self.taken:
            self.taken = False
            _give_back(self._former)

    def close(self) -> None:
        """Give it back, but do not wait for a server that hangs."""
        if self.taken:
            self.taken = False
            with suppress(DeviceError):
                _give_back(self._former, _CLOSE_SECONDS)


def give_back_leftover() -> str:
    """Give back the default that a session which was killed had taken; returns its name, or an empty string.

    Raises
    ------
    DeviceError
        If the sound server does not do it.
    """
    try:
        kept = json.loads(_place().read_text("utf-8"))
        owner, former = str(kept["owner"]), str(kept["former"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    process = owner.partition("-")[0]
    if process.isdigit() and identity(int(process)) == owner and "-" in owner:
        return ""  # it runs
    _give_back(former)
    return former


def _give_back(former: str, timeout_seconds: float = 5.0) -> None:
    if former and pactl("get-default-source", timeout_seconds=timeout_seconds).strip() == NAME:
        pactl("set-default-source", former, timeout_seconds=timeout_seconds)
    _place().unlink(missing_ok=True)


def _note(former: str) -> None:
    place = _place()
    try:
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        place.write_text(json.dumps({"owner": identity(os.getpid()), "former": former}), "utf-8")
    except OSError as error:
        raise DeviceError(f"{place}: cannot be written: {error.strerror}; the default microphone stays") from error


def _place() -> Path:
    from rtdenoise.live_audio.control.place import usual_place

    return usual_place().with_name(_FILE)


def _recorded_by(process: int) -> dict[str, str]:
    """Streams that a process records, each with its source; the process is known of the stream, or of its client."""
    known = f'application.process.id = "{process}"'
    clients = {number for number, text in entries("clients").items() if known in text}
    found = {}
    for number, text in entries("source-outputs").items():
        client = re.search(r"^\s*Client: (\d+)$", text, re.MULTILINE)
        if known in text or (client is not None and client[1] in clients):
            source = re.search(r"^\s*Source: (\d+)$", text, re.MULTILINE)
            found[number] = source[1] if source is not None else ""
    return found
