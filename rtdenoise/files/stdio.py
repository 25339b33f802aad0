"""Audio on standard input and output: raw samples or WAV, processed as they arrive."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from rtdenoise.errors import AudioFileError, ConfigError, require_choice
from rtdenoise.files.signals import DeferredSignals
from rtdenoise.sound.encoding import Encoding
from rtdenoise.sound.pcm import SAMPLE_BYTES, SUBTYPES, from_bytes, to_bytes
from rtdenoise.sound.wave import MAGIC_BYTES, WaveHeader, is_chunk_name, read_wave_header, wave_header
from rtdenoise.typing import F32

_log = logging.getLogger(__name__)

RAW_FORMS = ("s16", "s24", "s32", "f32")
_STDIN, _STDOUT = 0, 1
_READ_BYTES = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class PipeFormat:
    """Format of a pipe that has no header.

    `form` is "s16", "s24", "s32" or "f32" for raw samples, "wav" for a WAV on the output, None for: like the input.
    `sample_rate` and `channels` belong to raw input; a WAV brings its own.
    """

    form: str | None = None
    sample_rate: int | None = None
    channels: int = 1

    def __post_init__(self) -> None:
        if self.form is not None:
            require_choice("format", self.form, (*RAW_FORMS, "wav"))
        if self.channels < 1:
            raise ConfigError(f"channels={self.channels} on a pipe must be at least 1")


class Stdin:
    """Standard input as bytes, with look-ahead."""

    def __init__(self, signals: DeferredSignals) -> None:
        _binary(_STDIN)
        self._signals = signals
        self._ahead = b""

    def peek(self, size: int) -> bytes:
        """Return the next `size` bytes, or all there are, without consuming them."""
        while len(self._ahead) < size:
            more = self._wait(size - len(self._ahead))
            if not more:
                break
            self._ahead += more
        return self._ahead[:size]

    def read(self, size: int) -> bytes:
        """Return the available bytes, at least one; empty only at the end of the input."""
        if self._ahead:
            data, self._ahead = self._ahead[:size], self._ahead[size:]
            return data
        return self._wait(size)

    def exactly(self, size: int) -> bytes:
        """The next `size` bytes; fewer only at the end of the input."""
        self.peek(size)
        return self.read(size) if size else b""

    def _wait(self, size: int) -> bytes:
        with self._signals.allowed():
            try:
                return os.read(_STDIN, size)
            except OSError as error:
                raise AudioFileError(f"standard input: cannot be read: {error.strerror}") from error


class StdinAudio:
    """Standard input as blocks of samples; a WAV is recognised by its header.

    Parameters
    ----------
    carried : PipeFormat
    stdin : Stdin
    interrupt_ends : bool
        Treat Ctrl-C as the end of the input, as is usual when recording.

    Attributes
    ----------
    encoding : Encoding
    form : str
    header : WaveHeader or None
    n_samples : int or None
        Per channel, if a header says so.
    tags : dict
        Empty.
    warnings : list of str
    incomplete : bool
        Whether the pipe ended before the end that its header names.

    Raises
    ------
    AudioFileError
        If it is a damaged WAV, or one whose samples are not plain PCM or float.
    ConfigError
        If raw input has no given rate, or the rate of a WAV differs from the given one.
    """

    def __init__(self, carried: PipeFormat, stdin: Stdin, *, interrupt_ends: bool) -> None:
        self._stdin = stdin
        self._interrupt_ends = interrupt_ends
        self.warnings: list[str] = []
        self.incomplete = False
        self.tags: dict[str, str] = {}
        self.header: WaveHeader | None = None
        if stdin.peek(MAGIC_BYTES)[:4] in (b"RIFF", b"RF64"):
            self.header = read_wave_header(stdin.exactly(4), stdin.exactly)
            self.form, rate, channels = self.header.form, self.header.sample_rate, self.header.channels
            if carried.sample_rate not in (None, rate):
                raise ConfigError(
                    f"a rate of {carried.sample_rate} Hz was given, but the WAV on standard input has {rate} Hz"
                )
        else:
            if carried.sample_rate is None:
                raise ConfigError(
                    "raw audio on standard input needs its rate, for example --rate 16000; a WAV needs none"
                )
            self.form = carried.form if carried.form in RAW_FORMS else "s16"
            rate, channels = carried.sample_rate, carried.channels
        self.encoding = Encoding("WAV", SUBTYPES[self.form], "FILE", rate, channels)
        size = self.header.data_bytes if self.header is not None else None
        self.n_samples = None if size is None else size // (channels * SAMPLE_BYTES[self.form])

    def _chunks(self) -> Iterator[bytes]:
        """Bytes of samples, up to the end that the WAV's header names or the end of the pipe."""
        left = self.header.data_bytes if self.header is not None else None
        while left is None or left > 0:
            try:
                chunk = self._stdin.read(_READ_BYTES if left is None else min(_READ_BYTES, left))
            except (KeyboardInterrupt, SystemExit):
                if not self._interrupt_ends:
                    raise
                return
            if not chunk:
                break
            left = None if left is None else left - len(chunk)
            yield chunk
            if left == 0 and self._goes_on():
                left = None
        if left:
            self.incomplete = True
            seconds = left / (SAMPLE_BYTES[self.form] * self.encoding.channels * self.encoding.sample_rate)
            self._warn(f"standard input: ends {left} bytes ({seconds:.2f} s) before the end that its header names")
        while left == 0 and self._stdin.read(_READ_BYTES):
            pass  # drain what follows the samples (tags), so that the writer gets no broken pipe

    def _goes_on(self) -> bool:
        """Whether samples, not chunks, follow the end given by the header."""
        odd = (self.header.data_bytes or 0) % 2 if self.header is not None else 0
        following = self._stdin.peek(8 + odd)
        if len(following) <= 1 or any(is_chunk_name(following[at : at + 4]) for at in {0, odd}):
            return False
        self._warn("standard input: goes on behind the end that its header names; all of it is used")
        return True

    def blocks(self) -> Iterator[F32]:
        """Yield all samples as they arrive.

        Yields
        ------
        (n, channels) float32
        """
        channels = self.encoding.channels
        frame_bytes = channels * SAMPLE_BYTES[self.form]
        rest = b""
        for chunk in self._chunks():
            data = rest + chunk
            whole = len(data) // frame_bytes * frame_bytes
            rest = data[whole:]
            if whole:
                yield from_bytes(data[:whole], self.form, channels)
        if rest:
            self._warn(f"standard input: ends inside a sample; its last {len(rest)} bytes are left out")

    def _warn(self, message: str) -> None:
        self.warnings.append(message)
        _log.warning("%s", message)


class StdoutAudio:
    """Unbuffered standard output for samples.

    Parameters
    ----------
    form : str
    encoding : Encoding
        Rate and channels.
    as_wave : bool
        Whether a WAV header goes first.
    data_bytes : int, optional
        Length of all samples for that header, if known.

    Attributes
    ----------
    clipped : int
        Number of samples clipped to full scale.
    """

    def __init__(self, form: str, encoding: Encoding, *, as_wave: bool, data_bytes: int | None) -> None:
        _binary(_STDOUT)
        self._form = form
        self.clipped = 0
        if as_wave:
            self._send(wave_header(form, encoding.sample_rate, encoding.channels, data_bytes))

    def write(self, samples: F32) -> None:
        """Send ``(n, channels)`` float32 samples.

        Raises
        ------
        BrokenPipeError
            If the reader has closed the pipe.
        AudioFileError
            If they cannot be sent for another reason.
        """
        data, clipped = to_bytes(samples, self._form)
        self.clipped += clipped
        self._send(data)

    def _send(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(_STDOUT, view) :]
            except BrokenPipeError:
                raise
            except OSError as error:
                raise AudioFileError(f"standard output: cannot be written: {error.strerror}") from error


def _binary(descriptor: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.setmode(descriptor, os.O_BINARY)
