"""The virtual microphone as the default of other programs, until the session ends."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path

from rtdenoise.errors import DeviceError
from rtdenoise.live_audio.audio.desktop import pactl
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
        """Make it the default; what `process`, the session's, records goes on coming from the former one.

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
            pactl("set-default-source", NAME)
            if (found := pactl("get-default-source").strip()) != NAME:
                raise DeviceError(
                    f"the sound server keeps {found} as the default microphone; choose it in its settings"
                )
        except DeviceError:
            self.give_back()
            raise
        if process:
            self._microphone.keep_from_hearing_itself(process)

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
