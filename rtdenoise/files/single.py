"""Denoise one audio file into another, in constant memory."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from time import perf_counter
from typing import Any

from rtdenoise.choice import Choice, Config
from rtdenoise.files.flow import Flow
from rtdenoise.files.naming import beside, refuse_address, require_different, require_free
from rtdenoise.files.report import FileReport, latency_parts_ms, level_fields
from rtdenoise.files.setup import FILE_PRESET, Setup, Streams
from rtdenoise.files.signals import DeferredSignals
from rtdenoise.sound.encoding import BLOCKS, Encoding
from rtdenoise.sound.levels import LevelMeter
from rtdenoise.sound.opening import AnySource, AnyTarget, open_source, open_target
from rtdenoise.streaming.rate import band_hz, processing_rate_hz
from rtdenoise.streaming.whole import WholeStream, whole_of
from rtdenoise.typing import Denoiser

_log = logging.getLogger(__name__)

Progress = Callable[[float, float], None]
"""Called with the seconds of audio done and in total: first with 0 when work begins, then after each block."""

_BLOCK_SECONDS = 2.0
_BLOCK_VALUES_MAX = 1 << 20  # all channels together: 4 MB of float32


def denoise_file(
    source: str | Path,
    target: str | Path | None = None,
    *,
    method: str | None = None,
    preset: str | None = None,
    config: Config | None = None,
    model: str | Path | None = None,
    channel_mode: str | None = None,
    attenuation_limit_db: float | None = None,
    mix: float | None = None,
    overrides: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> FileReport:
    """Denoise an audio file of any length in constant memory (networks that normalise a whole file hold all of it).

    The new file is aligned with the source and exactly as long.  It keeps the container, sample type, rate, channels,
    bit rate of MP3 and Opus, and the text tags libsndfile knows: title, artist, album, date, genre, comment, copyright,
    licence, software, track number.  Covers are kept where FLAC, MP3 or M4A stays what it is; cue points and
    other chunks are not.  Integers are exact to 24 bits.
    The file appears only when complete; after an error there is none.

    Parameters
    ----------
    source : path
    target : path, optional
        ``noisy_WF_denoised.wav`` beside ``noisy.wav`` if there is none.  Its suffix chooses the container.
    method, preset, config, model, channel_mode, attenuation_limit_db, mix
        As for `rtdenoise.stream`; the preset defaults to "quality".
    overrides : mapping, optional
        Nested like a configuration, and stronger; the keywords are stronger still.
    overwrite : bool
        Replace a file that is there.
    progress : callable, optional
        See `Progress`.

    Returns
    -------
    FileReport

    Raises
    ------
    AudioFileError
        If the source cannot be read, or the target cannot be written, exists or is the source.
    ConfigError
        As for `rtdenoise.stream`.
    """
    for name in (source, target or ""):
        refuse_address(name)
    choice = Choice(method, preset, config, model, channel_mode, attenuation_limit_db, mix)
    settings = choice.settings(FILE_PRESET, overrides)
    streams = Streams(Setup(settings, settings.preset))
    source = Path(source)
    return run_file(streams, source, Path(target) if target else None, overwrite=overwrite, progress=progress)


def run_file(
    streams: Streams,
    source: Path,
    target: Path | None,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> FileReport:
    """Like `denoise_file`, with streams that may serve more files."""
    with open_source(source) as opened:
        if target is None:
            target = beside(source, streams.setup.label)
        require_different(source, target)
        require_free(target, overwrite=overwrite)
        there = opened.encoding
        denoiser, stream = streams.get(str(source), there.sample_rate, there.channels)
        whole = whole_of(denoiser)
        if whole is not None:
            stream = WholeStream(denoiser, whole, channels_first=False)
        started = perf_counter()
        meter = LevelMeter(there.sample_rate)
        with (
            DeferredSignals() as signals,
            open_target(target, opened, opened.tags, overwrite=overwrite) as written,
        ):
            flow = Flow(stream, written.write, meter)
            tell = _teller(progress, opened)

            def after_block() -> None:
                signals.check()
                tell()

            flow.run(opened.blocks(_block_samples(there)), after_block)
        warnings = [*opened.warnings, *notes(str(source), flow, written, there)]
    return make_report(
        streams.setup,
        (str(source), str(target)),
        written.encoding,
        denoiser,
        flow,
        meter,
        perf_counter() - started,
        written.clipped,
        warnings,
        incomplete=opened.incomplete,
    )


def _teller(progress: Progress | None, opened: AnySource) -> Callable[[], None]:
    rate = opened.encoding.sample_rate

    def tell() -> None:
        if progress is not None:
            progress(opened.n_read / rate, max(opened.n_read, opened.n_samples or 0) / rate)

    tell()
    return tell


def _block_samples(encoding: Encoding) -> int:
    return max(1, min(int(_BLOCK_SECONDS * encoding.sample_rate), _BLOCK_VALUES_MAX // encoding.channels))


def notes(name: str, flow: Flow, written: AnyTarget | None, read: Encoding) -> list[str]:
    """What the user should know about the samples and tags; logged as warnings, too."""
    found = [f"{name}: {remark}" for remark in flow.remarks]
    if flow.n_samples == 0:
        found.append(f"{name}: has no samples; the output is empty, too")
    if flow.non_finite:
        found.append(f"{name}: {flow.non_finite} samples are NaN or infinite; they count as 0")
    if written is not None and written.clipped:
        found.append(f"{written.path}: {written.clipped} samples beyond full scale were limited to it")
    if written is not None and written.lost_tags:
        found.append(
            f"{written.path}: {written.encoding.container} cannot keep the tags {', '.join(written.lost_tags)}"
        )
    if written is not None and read.subtype in BLOCKS:
        found.append(f"{written.path}: {read.subtype} holds whole blocks only; written as 16-bit samples instead")
    if written is not None:
        found.extend(written.notes)
    for text in found:
        _log.warning("%s", text)
    return found


def make_report(
    setup: Setup,
    names: tuple[str, str],
    encoding: Encoding,
    denoiser: Denoiser,
    flow: Flow,
    meter: LevelMeter,
    elapsed_seconds: float,
    clipped: int,
    warnings: list[str],
    *,
    incomplete: bool,
) -> FileReport:
    """Collect the figures of a finished job; `encoding` is that of what was written."""
    seconds = flow.n_samples / denoiser.sample_rate
    network, engine = setup.network_and_engine()
    return FileReport(
        source=names[0],
        target=names[1],
        method=setup.settings.method,
        preset=setup.preset,
        network=network,
        engine=engine,
        seconds=seconds,
        sample_rate=encoding.sample_rate,
        processing_rate_hz=processing_rate_hz(denoiser),
        band_hz=band_hz(denoiser),
        channels=encoding.channels,
        container=encoding.container,
        subtype=encoding.subtype,
        elapsed_seconds=round(elapsed_seconds, 6),
        rtf=round(elapsed_seconds / seconds, 6) if seconds else 0.0,
        latency_ms=latency_parts_ms(denoiser),
        **level_fields(meter),
        non_finite=flow.non_finite,
        clipped=clipped,
        warnings=tuple(warnings),
        incomplete=incomplete,
    )
