"""Arguments of the Python calls, drawn from what people pass by mistake: an answer of the right shape, or one line."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import rtdenoise
from rtdenoise.errors import RtDenoiseError, SignalWarning
from tests.fuzz.mutate import ODD_VALUES

DTYPES = ("f4", "f8", ">f4", "f2", "i2", ">i2", "i4", "u1", "i1", "i8", "u2", "c8", "?", "O", "U3", "M8[s]")
odd = st.sampled_from([value for value in ODD_VALUES if "\n" not in str(value)])  # a name with one is shown as it is
rates = st.one_of(odd, st.sampled_from([8000, 16000, 44100, 48000, 192000, 4000, 384000, 7999.5, np.int32(16000)]))
signals = st.one_of(
    odd,
    st.sampled_from(
        [Path("noisy.wav"), io.BytesIO(b"RIFF"), b"\0\1" * 40, bytearray(8), range(9), object(), [[0.0], 1]]
    ),
    arrays.arrays(
        dtype=st.sampled_from(DTYPES[:12]),
        shape=st.sampled_from(
            [(0,), (1,), (333,), (400, 2), (2, 400), (1, 90), (90, 1), (3, 3), (70, 70), (2, 3, 4), ()]
        ),
        elements=None,
        fill=st.just(0),
    ),
    st.sampled_from([np.zeros(50, dtype) for dtype in DTYPES[12:]]),
    st.sampled_from([np.zeros((90, 4), np.float32)[:, ::2], np.asfortranarray(np.zeros((90, 2))), np.ma.zeros(90)]),
)
configurations = st.one_of(
    st.none(),
    odd,
    st.dictionaries(
        st.sampled_from(["method", "preset", "mix", "can", "noise", "channel_mode", "attenuation_limit_db", "x", ""]),
        odd,
        max_size=3,
    ),
)


def accepted_or_one_line(call):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SignalWarning)
        try:
            return call()
        except RtDenoiseError as error:
            message = str(error)
            assert message and "\n" not in message and len(message) < 1000
            return None


@settings(max_examples=150, deadline=None)
@given(signal=signals, rate=rates, config=configurations, mode=odd, first=st.sampled_from([None, True, False, 0, "x"]))
def test_whole_signals(signal, rate, config, mode, first):
    answer = accepted_or_one_line(
        lambda: rtdenoise.denoise(signal, rate, "bypass", config=config, channel_mode=mode, channels_first=first)
    )
    if answer is not None:
        assert answer.shape == np.asarray(signal).shape


@settings(max_examples=100, deadline=None)
@given(
    rate=rates,
    channels=st.one_of(odd, st.integers(-1, 70)),
    preset=odd,
    limit=odd,
    mix=odd,
    model=st.one_of(st.none(), odd),
    chunks=st.lists(signals, max_size=3),
)
def test_streams(rate, channels, preset, limit, mix, model, chunks):
    denoiser = accepted_or_one_line(
        lambda: rtdenoise.stream(
            "bypass",
            sample_rate=rate,
            channels=channels,
            preset=preset,
            attenuation_limit_db=limit,
            mix=mix,
            model=model,
        )
    )
    for chunk in chunks if denoiser is not None else ():
        accepted_or_one_line(lambda chunk=chunk: denoiser.process(chunk))
