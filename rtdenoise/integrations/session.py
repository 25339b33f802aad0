"""One signal inside a framework: settings, bytes or samples in and exactly as many out, bypass at equal delay."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np

from rtdenoise.choice import Choice
from rtdenoise.errors import MissingExtraError
from rtdenoise.typing import Audio

_log = logging.getLogger(__name__)

_FADE_SECONDS = 0.01  # long enough for no click, too short to hear the two at once
_KEPT_SECONDS = 0.05  # of the input, for another session that takes over: more than the delay of any preset


LOW = "low"
"""The preset unless another one is asked for: whoever talks to a machine waits for it."""


def checked(choice: Choice) -> Choice:
    """Return the choice if it can work at some rate.

    Raises
    ------
    ConfigError, ModelError
        As for `rtdenoise.stream`, but for what depends on the signal.
    """
    settings = choice.settings(LOW)
    if settings.method == "CAN":
        from rtdenoise.methods.can.models import open_model

        open_model(settings.can.model)
    return choice


class Session:
    """A stream that gives exactly as many samples as it takes.

    The output is that of `rtdenoise.stream`, to the bit, after ``hop - 1`` samples of silence: what makes up for
    samples that wait for a whole hop, whatever the lengths of the chunks.  Nothing is trimmed or inserted later; what
    is still inside at the end comes out of `finish`.

    Building takes from milliseconds to, where compiled code is not yet in the cache, a minute: build in a thread.

    Parameters
    ----------
    choice : Choice
    sample_rate : int
    channels : int

    Attributes
    ----------
    choice : Choice
    sample_rate, channels : int
    latency_samples : int
        Delay of the output against the input, in everything: the method's and that of whole hops.
    bypassed : bool
        Whether the output is the input, equally late; changes are cross-faded.

    Raises
    ------
    ConfigError, ModelError, MissingExtraError
    """

    def __init__(self, choice: Choice, sample_rate: int, channels: int) -> None:
        from rtdenoise.api import stream_of

        self.choice, self.sample_rate, self.channels = choice, sample_rate, channels
        self._stream = stream_of(choice, sample_rate, channels, channels_first=False, default_preset=LOW)
        self._stream.tell = _log.warning
        self.latency_samples = self._stream.latency_samples + self._stream.hop - 1
        self.bypassed = False
        self._kept_samples = max(self.latency_samples, round(_KEPT_SECONDS * self._stream.sample_rate))
        self._fade_samples = max(1, round(_FADE_SECONDS * self._stream.sample_rate))
        self.reset()

    def reset(self) -> None:
        """Forget the signal; `bypassed` stays."""
        self._stream.reset()
        self._past: Audio | None = None  # the last samples of the input
        self._ready: Audio | None = None  # output that is not yet due
        self._wet = Fade(self._fade_samples, start=not self.bypassed)
        self._before: Session | None = None  # what this one takes over from
        self._taken = Fade(self._fade_samples, start=True)

    def process(self, samples: Audio) -> Audio:
        """Enhance the next samples.

        Parameters
        ----------
        samples : (n,) or, for several channels, (n, channels), read
            Any length and any dtype of `rtdenoise.stream`, the same for all calls until `reset`.

        Returns
        -------
        same shape and dtype
        """
        if self._past is None or self._ready is None:
            self._past = np.zeros((self._kept_samples, *samples.shape[1:]), samples.dtype)
            self._past += _silence(samples.dtype)
            self._ready = self._past[: self._stream.hop - 1]
        n = len(samples)
        ready = np.concatenate([self._ready, self._stream.process(samples)])
        past = np.concatenate([self._past, samples])
        enhanced, self._ready = ready[:n], ready[n:].copy()
        due = self._kept_samples - self.latency_samples
        dry, self._past = past[due : due + n], past[n:].copy()
        out = self._wet.mix(dry, enhanced, wanted=not self.bypassed)
        if self._before is not None:
            out = self._taken.mix(self._before.process(samples), out, wanted=True)
            if self._taken.share == 1.0:
                self._before = None
        return out

    @property
    def speech_probability(self) -> float | None:
        """As `rtdenoise.Stream.speech_probability`, of the last samples of the input."""
        return self._stream.speech_probability

    def finish(self, multiple: int = 1) -> Audio:
        """End the signal and start a new one.

        Parameters
        ----------
        multiple : int
            How many samples come out is a multiple of this.

        Returns
        -------
        dtype and channels of the chunks before
            The last `latency_samples` of the output, and silence up to the multiple; none if nothing came in.
        """
        if self._past is None:
            return np.zeros((0,) if self.channels == 1 else (0, self.channels), np.int16)
        n = -(-self.latency_samples // multiple) * multiple
        tail = self._past.shape[1:]
        rest = self.process(np.zeros((n, *tail), self._past.dtype) + _silence(self._past.dtype))
        self.reset()
        return rest

    def take_over(self, before: Session) -> None:
        """Go on with the signal of another session of the same rate and channels, cross-faded.

        Where this one is later, the difference is heard twice; where it is earlier, it is left out.
        """
        self.bypassed = before.bypassed
        self.reset()
        if before._past is None:
            return
        past = before._past[-self.latency_samples :]
        missing = np.zeros((self.latency_samples - len(past), *past.shape[1:]), past.dtype) + _silence(past.dtype)
        self.process(np.concatenate([missing, past]))  # what comes out is older than all that was given away
        self._before = before
        self._taken = Fade(self._fade_samples, start=False)


class Fade:
    """A cross-fade between two signals of the same length, sample by sample.

    Parameters
    ----------
    samples : int
        From one to the other.
    start : bool
        Whether it starts at the second.

    Attributes
    ----------
    share : float
        Of the second signal, 0 to 1.
    """

    def __init__(self, samples: int, *, start: bool) -> None:
        self.samples, self.share = samples, float(start)

    def mix(self, first: Audio, second: Audio, *, wanted: bool) -> Audio:
        """Return the next samples on the way to the one that is wanted; at either end that one itself, to the bit."""
        if self.share == float(wanted) or len(first) == 0:
            return second if wanted else first
        steps = np.arange(1, len(first) + 1) / self.samples
        shares = np.clip(self.share + (steps if wanted else -steps), 0.0, 1.0)
        self.share = float(shares[-1])
        weights = shares.reshape(-1, *[1] * (first.ndim - 1))
        mixed = first * (1.0 - weights) + second * weights
        return (np.rint(mixed) if first.dtype.kind in "iu" else mixed).astype(first.dtype)


class Bytes:
    """A session over interleaved PCM in bytes; bytes of an incomplete sample wait for the rest of it.

    Parameters
    ----------
    session : Session
    width : 1, 2 or 4
        Bytes of a sample: unsigned 8-bit, or signed little-endian.
    """

    def __init__(self, session: Session, width: int = 2) -> None:
        self.session = session
        self._dtype: np.dtype[Any] = np.dtype({1: "u1", 2: "<i2", 4: "<i4"}[width])
        self._left = b""

    def reset(self) -> None:
        """Forget the signal."""
        self.session.reset()
        self._left = b""

    def process(self, data: bytes) -> bytes:
        """Enhance what is complete; as many samples come out as were completed."""
        data = self._left + bytes(data)
        size = self._dtype.itemsize * self.session.channels
        whole = len(data) // size * size
        self._left = data[whole:]
        samples = np.frombuffer(data[:whole], self._dtype)
        if self.session.channels > 1:
            samples = samples.reshape(-1, self.session.channels)
        return self.session.process(samples).tobytes()

    def finish(self) -> bytes:
        """End the signal and return the last `Session.latency_samples`; an incomplete sample is left out."""
        self._left = b""
        return self.session.finish().tobytes()

    def take_over(self, before: Bytes) -> None:
        """As `Session.take_over`, with the bytes that wait."""
        self.session.take_over(before.session)
        self._left = before._left


def missing_extra(framework: str, package: str, extra: str) -> MissingExtraError:
    """Return the error for a framework that is not installed."""
    return MissingExtraError(f"{framework} needs the package {package}: pip install 'rtdenoise[{extra}]'")


def _silence(dtype: np.dtype[Any]) -> Any:
    """The value of silence: the middle of unsigned samples, else 0."""
    return dtype.type(128 if dtype.kind == "u" else 0)
