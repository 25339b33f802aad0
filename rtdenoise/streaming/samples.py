"""Convert users' arrays to and from the contiguous float32, full scale 1.0, that denoisers work on."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from rtdenoise.errors import SignalError, shortened
from rtdenoise.streaming.forms.packed import is_packed
from rtdenoise.typing import F32, Audio

CHANNELS_MAX = 64
"""Maximum number of channels in a stream; a longer axis can only be samples."""

_CHANNELS_USUAL = 8
_FULL_SCALE = {"i1": 2.0**7, "i2": 2.0**15, "i4": 2.0**31, "u1": 2.0**7}
"""Full scale of integer dtypes, by kind and size in bytes; unsigned ones are offset binary, as in 8-bit WAV."""

_READABLE = "float16, float32, float64, int8, int16, int32 or uint8"
_REMEDIES = {
    "b": "True and False are no samples",
    "c": "give the signal itself, not its spectrum, or its real part",
    "i": "nobody says what its full scale is: for 16-bit values give .astype(np.int16), else divide by the full scale",
    "u": "nobody says what its full scale is: subtract the middle, then divide by it",
    "O": "convert it to float32; a list of pieces is joined by np.concatenate",
}


def as_signal(signal: Any, *, call: str = "denoise") -> Audio:
    """Return the caller's signal as a numpy array, keeping its dtype and byte order.

    Parameters
    ----------
    signal : array_like
        A numpy array, or anything numpy can view as one: a CPU tensor, a series, a list of floats.
    call : str
        Name of the public function, for error messages.

    Raises
    ------
    SignalError
        If it is not an array of samples: None, a path, bytes, an open file, a dtype without a full scale.
    """
    _refuse_what_is_no_array(signal, call)
    try:
        array = np.asarray(signal)
    except Exception as error:  # ragged lists, tensors on a GPU or with a gradient: each raises a different exception
        why = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise SignalError(
            f"a signal of type {_type_name(signal)} cannot be read as an array ({shortened_text(why)}); "
            "give a numpy array (tensors: .detach().cpu().numpy(); a list of pieces: np.concatenate)"
        ) from error
    if array.ndim == 0 and array.dtype.kind in "biuf":
        raise SignalError(f"{call} takes an array of samples, not one number ({shortened(signal)})")
    require_readable(array.dtype)
    return array


def _refuse_what_is_no_array(signal: Any, call: str) -> None:
    if isinstance(signal, (str, os.PathLike)):
        raise SignalError(
            f"{call} takes an array of samples, not the path {shortened(os.fspath(signal))}; "
            "rtdenoise.denoise_file reads and writes files"
        )
    if is_packed(signal):
        remedy = "give np.frombuffer(data, '<i2')" + (", or take process_bytes" if call == "process" else "")
        raise SignalError(f"{call} takes an array of samples, not {type(signal).__name__}; for 16-bit samples {remedy}")
    if signal is None:
        raise SignalError(f"{call} takes an array of samples, not None")
    if hasattr(signal, "read") and not hasattr(signal, "__array__"):
        raise SignalError(
            f"{call} takes an array of samples, not an open file ({_type_name(signal)}); rtdenoise.denoise_file "
            "takes its path, and np.frombuffer(file.read(), '<i2') gives raw 16-bit samples"
        )
    if isinstance(signal, np.ma.MaskedArray) and np.ma.is_masked(signal):
        raise SignalError("a signal with masked samples: say what they are, for example signal.filled(0)")


def _type_name(value: Any) -> str:
    kind = type(value)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__.partition('.')[0]}.{kind.__name__}"


def shortened_text(text: str, length: int = 80) -> str:
    """Collapse `text` to one line of at most `length` characters."""
    text = " ".join(text.split())
    return text if len(text) <= length else f"{text[: length - 3]}..."


def require_readable(dtype: np.dtype[Any]) -> None:
    """Raise unless samples of `dtype` have a known full scale.

    Raises
    ------
    SignalError
    """
    if dtype.kind == "f" or dtype.str[1:] in _FULL_SCALE:
        return
    remedy = _REMEDIES.get(dtype.kind, "convert it to float32")
    raise SignalError(f"samples of dtype {dtype} cannot be read as sound ({remedy}); give {_READABLE}")


def to_float32(samples: Audio) -> F32:
    """Convert samples to contiguous float32 with full scale 1.0; integers are divided by their full scale.

    Parameters
    ----------
    samples : (n,) or (n, channels), read
        Floats of any width, int8, int16, int32 or uint8, in any byte order and layout.

    Raises
    ------
    SignalError
        For any other dtype.
    """
    require_readable(samples.dtype)
    if samples.dtype.kind == "f":
        with np.errstate(over="ignore"):  # a double out of float32 range becomes infinite, which denoisers treat as 0
            return np.ascontiguousarray(samples, np.float32)
    full_scale = _FULL_SCALE[samples.dtype.str[1:]]
    if samples.dtype.kind == "u":
        return np.ascontiguousarray((samples.astype(np.float32) - np.float32(full_scale)) / np.float32(full_scale))
    if samples.dtype.itemsize > 2:  # through float64, so that each sample is rounded only once
        return np.ascontiguousarray(samples / full_scale, np.float32)
    return np.ascontiguousarray(np.divide(samples, full_scale, dtype=np.float32))


def from_float32(samples: F32, dtype: np.dtype[Any]) -> Audio:
    """Convert samples to the caller's `dtype`; integers are rounded and clipped, never wrapped."""
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            converted: Audio = samples.astype(dtype)
        return converted
    full_scale, limits = _FULL_SCALE[dtype.str[1:]], np.iinfo(dtype)
    middle = full_scale if dtype.kind == "u" else 0.0
    values = samples.astype(np.float64) if dtype.itemsize > 2 else samples  # float32 cannot hold 32 bits exactly
    scaled = np.rint(values * full_scale) + middle
    limited: Audio = np.clip(scaled, limits.min, limits.max).astype(dtype)
    return limited


def is_channels_first(shape: tuple[int, ...], channels_first: bool | None) -> bool:
    """Whether a whole signal of this shape is ``(channels, n)``.

    Parameters
    ----------
    shape : tuple of int
        One or two dimensions.
    channels_first : bool, optional
        The layout the caller gave; if None, the shape decides: more than 64 columns can only be samples.

    Raises
    ------
    SignalError
        If there are not one or two dimensions, or the shape is ambiguous and both readings are unusual.
    """
    if len(shape) not in (1, 2):
        hint = "; one signal at a time" if len(shape) > 2 else ""
        raise SignalError(f"a signal of shape {shape} cannot be read; give (n,), (n, channels) or (channels, n){hint}")
    if len(shape) == 1:
        return False
    rows, columns = shape
    if channels_first is not None:
        if not 1 <= (rows if channels_first else columns) <= CHANNELS_MAX:
            raise SignalError(
                f"a signal of shape {shape} has {rows if channels_first else columns} channels with "
                f"channels_first={channels_first}; 1 to {CHANNELS_MAX} can be read"
            )
        return bool(channels_first)
    if columns == 0:
        raise SignalError(f"a signal of shape {shape} has no channels; give (n,), (n, channels) or (channels, n)")
    if columns > CHANNELS_MAX:
        if rows > CHANNELS_MAX:
            raise SignalError(
                f"a signal of shape {shape} cannot be read: neither {rows} nor {columns} can be channels, "
                f"of which there are at most {CHANNELS_MAX}"
            )
        return True
    if rows < columns and columns > _CHANNELS_USUAL:
        raise SignalError(
            f"a signal of shape {shape} could be {columns} channels of {rows} samples or {rows} channels of "
            f"{columns}; say channels_first=True for (channels, n), channels_first=False for (n, channels)"
        )
    return False
