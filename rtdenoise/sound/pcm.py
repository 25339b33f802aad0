"""Convert raw audio bytes to and from float32 samples."""

from __future__ import annotations

import numpy as np

from rtdenoise.typing import F32

SAMPLE_BYTES = {"u8": 1, "s16": 2, "s24": 3, "s32": 4, "f32": 4, "f64": 8}
"""Bytes per sample of each format; little-endian, as everywhere on pipes."""

SUBTYPES = {"u8": "PCM_U8", "s16": "PCM_16", "s24": "PCM_24", "s32": "PCM_32", "f32": "FLOAT", "f64": "DOUBLE"}
"""libsndfile's names of the formats."""


def from_bytes(data: bytes, form: str, channels: int) -> F32:
    """Decode whole samples.

    Parameters
    ----------
    data : bytes
        A whole number of samples of all channels.
    form : str
        A key of `SAMPLE_BYTES`.
    channels : int

    Returns
    -------
    (n, channels) float32
        Full scale 1.0.
    """
    if form == "s24":
        packed = np.frombuffer(data, np.uint8).reshape(-1, 3)
        wide = np.zeros((len(packed), 4), np.uint8)
        wide[:, 1:] = packed
        samples = wide.view("<i4").reshape(-1) * np.float32(2.0**-31)
    elif form == "u8":
        samples = (np.frombuffer(data, np.uint8).astype(np.float32) - np.float32(128)) * np.float32(2.0**-7)
    elif form in ("f32", "f64"):
        with np.errstate(over="ignore", invalid="ignore"):  # what is beyond float32, or a signalling NaN, is counted
            samples = np.frombuffer(data, "<f4" if form == "f32" else "<f8").astype(np.float32)
    else:
        bits = 8 * SAMPLE_BYTES[form]
        samples = np.frombuffer(data, f"<i{bits // 8}").astype(np.float32) * np.float32(2.0 ** (1 - bits))
    return np.ascontiguousarray(samples.reshape(-1, channels), np.float32)


def to_bytes(samples: F32, form: str) -> tuple[bytes, int]:
    """Encode samples; integers are rounded and limited, never wrapped.

    Returns
    -------
    data : bytes
    clipped : int
        How many samples were limited.
    """
    if form in ("f32", "f64"):
        return samples.astype("<f4" if form == "f32" else "<f8").tobytes(), 0
    bits = 8 * SAMPLE_BYTES[form]
    full = 2.0 ** (bits - 1)
    steps = np.rint(samples * (np.float64(full) if bits > 24 else np.float32(full)))
    clipped = int(np.count_nonzero((steps < -full) | (steps > full - 1.0)))
    limited = np.clip(steps, -full, full - 1.0)
    if form == "u8":
        return (limited + 128).astype(np.uint8).tobytes(), clipped
    if form == "s24":
        return limited.astype("<i4").view(np.uint8).reshape(-1, 4)[:, :3].tobytes(), clipped
    return limited.astype(f"<i{bits // 8}").tobytes(), clipped
