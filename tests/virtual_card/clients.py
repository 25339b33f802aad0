"""A virtual microphone that plays an array and a virtual speaker that records one, on one sample clock."""

from __future__ import annotations

import ctypes
import threading
import time
from typing import Any

import jack
import numpy as np

CAPTURE, PLAYBACK = 0, 1


class _Range(ctypes.Structure):
    _fields_ = [("min", ctypes.c_uint32), ("max", ctypes.c_uint32)]


_LATENCY_CALLBACK = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_void_p)


def _report_one_period(client: Any, port: Any, direction: int) -> Any:
    """Report one period of latency for a card's port: PortAudio 19.6 subtracts one, unsigned; from 0 that is a day."""
    library, pointer = ctypes.CDLL("libjack.so.0"), ctypes.c_void_p
    library.jack_port_set_latency_range.argtypes = [pointer, ctypes.c_int, pointer]
    library.jack_set_latency_callback.argtypes = [pointer, _LATENCY_CALLBACK, pointer]
    library.jack_port_set_latency.argtypes = [pointer, ctypes.c_uint32]
    address = int(jack._ffi.cast("uintptr_t", port._ptr))
    period = _Range(client.blocksize, client.blocksize)

    def tell(mode: int, _argument: object) -> None:
        if mode == direction:
            library.jack_port_set_latency_range(address, mode, ctypes.byref(period))

    callback = _LATENCY_CALLBACK(tell)
    library.jack_set_latency_callback(int(jack._ffi.cast("uintptr_t", client._ptr)), callback, None)
    library.jack_port_set_latency(address, client.blocksize)
    return callback, period


class _Job:
    """One signal to play and record; positions count from `start`, a time of the server's sample clock."""

    def __init__(self, signal: np.ndarray, n_recorded: int) -> None:
        self.signal = np.ascontiguousarray(signal, np.float32)
        self.recording = np.zeros(n_recorded, np.float32)
        self.start: int | None = None
        self.n_played = self.n_recorded = 0
        self.done = threading.Event()


class LocalCard:
    """Two JACK clients that PortAudio lists as devices.  Enter it before the program under test starts PortAudio.

    Parameters
    ----------
    server : str
        Name of the JACK server.
    microphone, speaker : str
        Names of the devices.
    """

    def __init__(self, server: str, microphone: str = "virtual_microphone", speaker: str = "virtual_speaker") -> None:
        self.microphone_name, self.speaker_name = microphone, speaker
        self._microphone = jack.Client(microphone, no_start_server=True, servername=server)
        try:
            self._speaker = jack.Client(speaker, no_start_server=True, servername=server)
        except jack.JackOpenError:
            self._microphone.close()  # a synchronous server waits for a client that goes without a word
            raise
        self._out = self._microphone.outports.register("capture_1", is_physical=False, is_terminal=True)
        self._in = self._speaker.inports.register("playback_1", is_physical=False, is_terminal=True)
        self.rate, self.period = self._microphone.samplerate, self._microphone.blocksize
        self.xruns = 0
        self.feedback = 0.0  # this much of the speaker's last block is heard by the microphone
        self.resonance: tuple[np.ndarray, np.ndarray] | None = None  # the room's filter for it
        self._room = np.zeros(2)
        self._filter: Any = None
        self._heard = np.zeros(self.period, np.float32)
        self._job: _Job | None = None
        self._idle: np.ndarray = np.zeros(self.period, np.float32)
        self._microphone.set_process_callback(self._play)
        self._speaker.set_process_callback(self._record)
        self._microphone.set_xrun_callback(self._count_xrun)
        self._keep = [
            _report_one_period(self._microphone, self._out, CAPTURE),
            _report_one_period(self._speaker, self._in, PLAYBACK),
        ]

    def _count_xrun(self, _delay: float) -> None:
        self.xruns += 1

    def set_feedback(self, share: float, resonance: tuple[np.ndarray, np.ndarray] | None = None) -> None:
        """Let the microphone hear this much of the speaker's last block, through a second-order filter of the room."""
        if resonance is not None:  # few tests have a room, and this import takes as long as a whole start without it
            from scipy.signal import lfilter

            self._filter = lfilter
        self.resonance, self.feedback = resonance, share

    def set_idle(self, signal: np.ndarray) -> None:
        """What the microphone gives, over and over, while nothing is played; (n * period,) float32."""
        self._idle = np.ascontiguousarray(signal[: len(signal) // self.period * self.period], np.float32)

    # Both callbacks of one cycle see the same `last_frame_time`: a common clock.  The microphone's fixes the start some
    # cycles ahead, so that it also works when the server runs free.
    def _play(self, n: int) -> None:
        out, job = self._out.get_array(), self._job
        now = self._microphone.last_frame_time
        if job is None or job.done.is_set():  # done: a server that runs free still goes on for seconds
            at = now % len(self._idle)
            out[:] = self._idle[at : at + n] if at + n <= len(self._idle) else 0.0
            if self.feedback:
                out[:] += self.feedback * self._heard
            return
        if job.start is None:
            job.start = (now + 4 * n) & 0xFFFFFFFF
        position = (now - job.start) & 0xFFFFFFFF
        out[:] = 0.0
        if position < 1 << 31:
            count = max(0, min(n, len(job.signal) - position))
            out[:count] = job.signal[position : position + count]
            job.n_played += count

    def _record(self, n: int) -> None:
        block, job = self._in.get_array(), self._job
        if self.feedback:
            self._heard[:] = np.clip(block, -1.0, 1.0)
            if self.resonance is not None:
                self._heard[:], self._room = self._filter(*self.resonance, self._heard, zi=self._room)
        if job is None or job.start is None:
            return
        position = (self._speaker.last_frame_time - job.start) & 0xFFFFFFFF
        if position >= 1 << 31:
            return
        count = max(0, min(n, len(job.recording) - position))
        job.recording[position : position + count] = block[:count]
        job.n_recorded += count
        if position + n >= len(job.recording):
            job.done.set()

    def wait_connected(self, timeout_seconds: float = 30.0) -> None:
        """Return when a program uses both devices."""
        limit = time.monotonic() + timeout_seconds
        while not (self._microphone.get_all_connections(self._out) and self._speaker.get_all_connections(self._in)):
            if time.monotonic() > limit:
                raise TimeoutError("nobody uses both virtual devices")
            time.sleep(0.01)

    def play_record(
        self, signal: np.ndarray, tail_seconds: float = 0.5, *, fast: bool = False, timeout_seconds: float | None = None
    ) -> np.ndarray:
        """Play a mono signal; what the speaker got from the cycle of its first sample on.

        Parameters
        ----------
        signal : (n,) float32, read
        tail_seconds : float
            Record for this long after its end.
        fast : bool
            As fast as the machine goes (JACK's freewheel).

        Returns
        -------
        (n + tail,) float32

        Raises
        ------
        RuntimeError
            If the server skipped a cycle: the recording would prove nothing.
        """
        job = _Job(signal, len(signal) + int(tail_seconds * self.rate))
        seconds = len(job.recording) / self.rate
        self._job = job
        try:
            if fast:
                self._microphone.set_freewheel(True)
            finished = job.done.wait(timeout_seconds or seconds * 3 + 10)
        finally:
            if fast:
                self._microphone.set_freewheel(False)  # a server left running free wedges
                time.sleep(0.2)
            self._job = None
        if not finished:
            raise TimeoutError("the virtual card's clock stopped")
        if job.n_played != len(job.signal) or job.n_recorded != len(job.recording):
            played, heard = f"{job.n_played} of {len(job.signal)}", f"{job.n_recorded} of {len(job.recording)}"
            raise RuntimeError(f"JACK skipped cycles: played {played}, recorded {heard}")
        return job.recording

    def __enter__(self) -> LocalCard:
        self._microphone.activate()
        self._speaker.activate()
        for callback, _ in self._keep:
            callback(CAPTURE, None)
            callback(PLAYBACK, None)
        return self

    def __exit__(self, *_: object) -> None:
        for client in (self._microphone, self._speaker):
            client.deactivate()
            client.close()
