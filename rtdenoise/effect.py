"""A denoiser as an audio effect: called with an array and its rate, as pedalboard's effects are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rtdenoise import registry
from rtdenoise.api import channels_of, enhance_array, rate_and_samples
from rtdenoise.choice import Choice, Config
from rtdenoise.errors import SignalError
from rtdenoise.streaming.forms.aligned import Aligned
from rtdenoise.streaming.samples import as_signal
from rtdenoise.streaming.session import Stream
from rtdenoise.typing import Audio, Denoiser


class Effect:
    """A denoiser called with arrays of any rate and number of channels.

    Parameters
    ----------
    method, preset, config, model, channel_mode, attenuation_limit_db, mix
        As for `rtdenoise.stream`.
    channels_first : bool, optional
        Whether arrays are ``(channels, n)``; if None, the shorter axis is the channels, as in pedalboard.

    Raises
    ------
    ConfigError
        As for `rtdenoise.stream`.

    Examples
    --------
    >>> import numpy as np, rtdenoise
    >>> effect = rtdenoise.Effect("WF", preset="low")
    >>> effect(np.zeros((2, 1000), np.float32), 16000).shape
    (2, 1000)
    >>> parts = [effect(np.zeros((2, 500), np.float32), 16000, reset=False) for _ in range(2)]
    >>> sum(part.shape[1] for part in parts) + effect.flush().shape[1]
    1000
    """

    def __init__(
        self,
        method: str | None = None,
        *,
        preset: str | None = None,
        config: Config | None = None,
        model: str | Path | None = None,
        channel_mode: str | None = None,
        attenuation_limit_db: float | None = None,
        mix: float | None = None,
        channels_first: bool | None = None,
    ) -> None:
        self._settings = Choice(method, preset, config, model, channel_mode, attenuation_limit_db, mix).settings()
        self._channels_first = channels_first
        self._built: tuple[tuple[int, int], Denoiser] | None = None
        self._going: tuple[Stream, Aligned] | None = None  # a signal that comes in pieces

    def __repr__(self) -> str:
        return f"<Effect: {self._settings.title}>"

    def __call__(
        self, input_array: Any, sample_rate: int | None = None, buffer_size: int = 8192, reset: bool = True
    ) -> Any:
        """Denoise a signal, or the next piece of one.

        Parameters
        ----------
        input_array : (n,), (n, channels) or (channels, n), read
            As for `rtdenoise.denoise`; also a pair ``(sample_rate, samples)``.
        sample_rate : int
            8 to 192 kHz; left out with a pair.
        buffer_size : int
            Has no effect; here for calls that were written for pedalboard.
        reset : bool
            Whether this is a whole signal; otherwise it continues the one of the calls before.

        Returns
        -------
        dtype and layout of `input_array`
            With `reset` the whole signal, exactly as `rtdenoise.denoise` returns it.  Without it what is ready; joined
            and with `flush` at the end, the pieces are aligned with the input and as long.

        Raises
        ------
        SignalError
            For an unsupported shape or dtype, and for a piece that does not fit the signal.
        ConfigError
            For an unsupported rate or number of channels.
        """
        rate, samples = rate_and_samples(input_array, sample_rate, "effect(signal, 16000)")
        array = as_signal(samples, call="Effect")
        clean = self._whole(array, rate) if reset else self._piece(array, rate)
        return clean if samples is input_array else (rate, clean)

    process = __call__

    def flush(self) -> Audio:
        """End a signal that came in pieces and return its rest.

        Raises
        ------
        SignalError
            If there is none.
        """
        if self._going is None:
            raise SignalError("flush: no signal is going on; give its pieces with reset=False first")
        rest: Audio = self._going[1].finish()
        self._going = None
        return rest

    def reset(self) -> None:
        """Forget a signal that came in pieces."""
        self._going = None

    def _whole(self, array: Audio, rate: int) -> Audio:
        first = self._is_first(array.shape)
        denoiser = self._denoiser(rate, channels_of(array, first))
        return enhance_array(denoiser, array, first)

    def _piece(self, array: Audio, rate: int) -> Audio:
        if self._going is None:
            first = self._is_first(array.shape)
            denoiser = self._denoiser(rate, channels_of(array, first))
            stream = Stream(denoiser, channels_first=first if array.ndim == 2 else None, title=self._settings.title)
            self._going = stream, Aligned(stream)
        stream, signal = self._going
        if rate != stream.sample_rate:
            raise SignalError(
                f"a piece at {rate} Hz does not continue a signal at {stream.sample_rate} Hz; "
                "call flush() or reset() first"
            )
        clean: Audio = signal.take(array)
        return clean

    def _denoiser(self, rate: int, channels: int) -> Denoiser:
        """A denoiser that is new or reset; the last one if it fits."""
        self._going = None
        if self._built is not None and self._built[0] == (rate, channels):
            self._built[1].reset()
        else:
            self._built = (rate, channels), registry.build(self._settings, rate, channels)
        return self._built[1]

    def _is_first(self, shape: tuple[int, ...]) -> bool:
        """Whether an array of this shape is ``(channels, n)``."""
        if len(shape) not in (1, 2):
            raise SignalError(f"a signal of shape {shape} cannot be read; give (n,), (n, channels) or (channels, n)")
        if len(shape) == 1:
            return False
        if self._channels_first is not None:
            return bool(self._channels_first)
        if 0 in shape:
            return shape[1] == 0
        if shape[0] == shape[1] > 1:
            raise SignalError(
                f"a signal of shape {shape} could be (channels, n) or (n, channels); "
                "say channels_first=True or False when the effect is made"
            )
        return shape[0] < shape[1]
