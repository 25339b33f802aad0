"""Detect when the JACK client that plays our output vanishes or is replaced."""

from __future__ import annotations

import ctypes
import sys

from rtdenoise.live_audio.audio.devices import Device

_NO_START_SERVER, _PORT_IS_INPUT = 1, 1
_LIBRARY = "libjack.0.dylib" if sys.platform == "darwin" else "libjack.so.0"  # PortAudio has loaded it already


class RefusedError(Exception):
    """JACK refused our client; its library now considers the server dead for all clients of this process.

    Closing a running stream then makes PortAudio retry the disconnect forever, while the server waits for its client.
    """


class JackPorts:
    """The ports that a device currently plays.

    Parameters
    ----------
    client : str
        The device's name: PortAudio calls a device as JACK calls the client.

    Raises
    ------
    OSError
        If there is no JACK, or the device has no ports there.
    RefusedError
        If the server accepts no client: it is stalled, or has too many.
    """

    def __init__(self, client: str) -> None:
        self._jack = jack = ctypes.CDLL(_LIBRARY)
        pointer, text = ctypes.c_void_p, ctypes.c_char_p
        jack.jack_client_open.argtypes, jack.jack_client_open.restype = [text, ctypes.c_int, pointer], pointer
        jack.jack_client_close.argtypes = jack.jack_free.argtypes = [pointer]
        jack.jack_get_ports.argtypes = [pointer, text, text, ctypes.c_ulong]
        jack.jack_get_ports.restype = ctypes.POINTER(text)
        jack.jack_get_uuid_for_client_name.argtypes, jack.jack_get_uuid_for_client_name.restype = (
            [pointer, text],
            pointer,
        )
        jack.jack_port_by_name.argtypes, jack.jack_port_by_name.restype = [pointer, text], pointer
        self._client = jack.jack_client_open(b"rtdenoise-watch", _NO_START_SERVER, None)
        if not self._client:
            raise RefusedError
        self._name, self._number = client.encode(), self._number_of(client.encode())
        self._ports = {name: self._port(name) for name in self._names(client)}
        if not self._ports:
            self.close()
            raise OSError(f"{client!r} has no ports")

    def _names(self, client: str) -> list[bytes]:
        found = self._jack.jack_get_ports(self._client, None, None, _PORT_IS_INPUT)
        if not found:
            return []
        names: list[bytes] = []
        while (name := found[len(names)]) is not None:
            names.append(name)
        self._jack.jack_free(found)
        return [name for name in names if name.startswith(client.encode() + b":")]

    def _number_of(self, client: bytes) -> bytes:
        """JACK's unique ID of a client, never reused; empty if the server does not report it."""
        found = self._jack.jack_get_uuid_for_client_name(self._client, client)
        if not found:
            return b""
        number = ctypes.string_at(found)
        self._jack.jack_free(found)
        return number

    def _port(self, name: bytes) -> int | None:
        port: int | None = self._jack.jack_port_by_name(self._client, name)
        return port

    @property
    def gone(self) -> bool:
        """Whether one of them went, be it that one of its name came afterwards: nobody has connected that to us.

        What came at once may have the memory of what went; its client has another number.
        """
        if any(self._port(name) != port for name, port in self._ports.items()):
            return True
        number = self._number_of(self._name)
        return bool(number and self._number) and number != self._number

    def close(self) -> None:
        """Leave JACK."""
        self._jack.jack_client_close(self._client)


def ports_of(target: Device | None) -> JackPorts | None:
    """The ports of an output device, if it is one that JACK lets go without a word to whoever plays to it.

    Raises
    ------
    RefusedError
    """
    if target is None or "JACK" not in target.host_api:
        return None
    try:
        return JackPorts(target.name)
    except (OSError, AttributeError):  # another PortAudio, another JACK: somebody else has to look
        return None
