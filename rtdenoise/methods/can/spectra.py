"""Overlap-add analysis and synthesis around a spectral network, for one or many streams."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rtdenoise.kernels.clean_speech.clarity import SMOOTHING_SECONDS, keep_clear_each
from rtdenoise.kernels.jit import kernel
from rtdenoise.kernels.overlap_add import analyse, synthesise
from rtdenoise.methods.can.compiled.band_end import band_fields, fill_band, fill_each, mask_above_each
from rtdenoise.methods.can.compiled.voiced import fill_voiced, follow_each, keep_voiced_each, voiced_fields
from rtdenoise.methods.can.spec import CanSpec
from rtdenoise.streaming.overlap_add import Framing, fill_windows, overlap_add_fields
from rtdenoise.typing import F32
from rtdenoise.units import amplitude_from_db, smoothing_per_hop


@kernel
def analyse_each(blocks: F32, states: np.ndarray) -> None:
    """`analyse` for each of (n_streams, hop) float32 blocks with its own record."""
    for stream in range(states.size):
        analyse(blocks[stream], states[stream])


@kernel
def synthesise_each(outs: F32, states: np.ndarray) -> None:
    """`synthesise` for each of (n_streams, hop) float32 outputs with its own record."""
    for stream in range(states.size):
        synthesise(outs[stream], states[stream])


class Spectra:
    """Overlap-add around the steps of a spectral network.

    Parameters
    ----------
    spec : CanSpec
    streams : int
    gain_min_db : float, optional
        Lowest gain; the specification's if not given.

    Attributes
    ----------
    inputs : dict of array
        Inputs of a network step, written by `analyse`: `tensorflow.graph.spectra`, each ``(streams, n_bins)``
        float32, and ``gain_min`` ``(1,)``, an amplitude that may be written while audio runs.
    """

    def __init__(self, spec: CanSpec, streams: int, gain_min_db: float | None = None) -> None:
        spans = (spec.span, spec.listening_span) if spec.listens_apart else (spec.span,)
        self._initial = [_records(spec, span, streams) for span in spans]
        self._records: list[Any] = [records.copy() for records in self._initial]
        self._gain_start = np.float32(amplitude_from_db(spec.gain_min_db if gain_min_db is None else gain_min_db))
        self.inputs: dict[str, F32] = {}
        for prefix in ("", "heard_")[: len(spans)]:
            for part in ("real", "imag"):
                self.inputs[prefix + part] = np.zeros((streams, spec.n_bins), np.float32)
        self._heard, self._read = (np.zeros((streams, spec.n_bins), np.complex64) for _ in range(2))
        self._energies = np.zeros((streams, 2), np.float32)
        self._voices_initial = np.zeros(streams, np.dtype(voiced_fields(spec.n_bins), align=True))
        self._bands_initial = np.zeros(streams, np.dtype(band_fields(spec.n_bins), align=True))
        for voice, band in zip(self._voices_initial, self._bands_initial, strict=True):
            fill_voiced(voice, spec)
            fill_band(band, spec, _framing(spec, spec.span))
        self._voices, self._bands = self._voices_initial.copy(), self._bands_initial.copy()
        self._smoothing = np.float32(smoothing_per_hop(SMOOTHING_SECONDS, spec.hop / spec.sample_rate))
        self.inputs["gain_min"] = np.full(1, self._gain_start, np.float32)

    def analyse(self, blocks: F32) -> None:
        """Analyse the next ``(streams, hop)`` samples."""
        for records in self._records:
            analyse_each(blocks, records)
        follow_each(self._records[-1], self._voices)
        self._heard[...] = self._records[0]["spectrum"]
        self._read[...] = self._records[-1]["spectrum"]
        fill_each(self._read, self._bands)
        for spectra, prefix in zip((self._heard, self._read)[-len(self._records) :], ("", "heard_"), strict=False):
            self.inputs[prefix + "real"][...] = spectra.real
            self.inputs[prefix + "imag"][...] = spectra.imag

    def synthesise(self, answer: Mapping[str, F32], outs: F32) -> None:
        """Synthesise the next ``(streams, hop)`` samples from the ``real`` and ``imag`` outputs of a step."""
        spectrum = self._records[0]["spectrum"]
        spectrum.real = answer["real"]
        spectrum.imag = answer["imag"]
        if len(self._records) == 1:
            mask_above_each(self._read, self._heard, self._records[0], self._bands)
        keep_clear_each(self._heard, self._records[0], self._energies, self._smoothing, self.inputs["gain_min"][0])
        keep_voiced_each(self._heard, self._records[0], self._voices)
        synthesise_each(outs, self._records[0])

    def reset(self) -> None:
        """Forget the signals."""
        for records, initial in zip(self._records, self._initial, strict=True):
            records[...] = initial
        self._energies.fill(0.0)
        self._voices[...], self._bands[...] = self._voices_initial, self._bands_initial
        self.inputs["gain_min"].fill(self._gain_start)


def _records(spec: CanSpec, span: int, streams: int) -> np.ndarray:
    """Return overlap-add records in their initial state."""
    framing = _framing(spec, span)
    records = np.zeros(streams, np.dtype(overlap_add_fields(framing), align=True))
    for record in records:
        fill_windows(record, framing)
    return records


def _framing(spec: CanSpec, span: int) -> Framing:
    return Framing(sample_rate=spec.sample_rate, frame=spec.frame, span=span, hop=spec.hop)
