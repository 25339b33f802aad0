"""Denoise from standard input or to standard output, hop by hop."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from rtdenoise.errors import ConfigError
from rtdenoise.files.flow import Flow
from rtdenoise.files.naming import require_free
from rtdenoise.files.report import FileReport
from rtdenoise.files.setup import Setup, Streams
from rtdenoise.files.signals import DeferredSignals
from rtdenoise.files.single import make_report, notes
from rtdenoise.files.spool import spooled
from rtdenoise.files.stdio import RAW_FORMS, PipeFormat, Stdin, StdinAudio, StdoutAudio
from rtdenoise.sound.containers.sniff import HEAD_BYTES, WAV, Kind, kind_of, may_be_frames
from rtdenoise.sound.levels import LevelMeter
from rtdenoise.sound.media.reader import STANDARD_INPUT, have_media, missing_media
from rtdenoise.sound.opening import AnySource, AnyTarget, open_source, open_target
from rtdenoise.sound.pcm import SAMPLE_BYTES, SUBTYPES
from rtdenoise.sound.reader import GUESSED, Source
from rtdenoise.sound.wave import MAGIC_BYTES, is_plain_wave

STDIO = "-"
"""Stands for standard input or output in place of a path."""

_FILE_BLOCK_SAMPLES = 1 << 14
_WAVE_HEAD_BYTES = 64  # up to the format of a WAV without anything unusual before it
_WAVE_BYTES_MAX = 0x7FFF_0000  # more is taken for "unknown" by readers, ours among them
_FORMS = {subtype: form for form, subtype in SUBTYPES.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class PipeJob:
    """Job description for `denoise_pipe`.

    Attributes
    ----------
    source, target : path or "-"
    carried : PipeFormat
    aligned : bool
        Leave out the first `latency_samples` of the output, which are silence, so that it is exactly as long as the
        input; otherwise that silence stays in front.
    overwrite : bool
        Replace a target file.
    """

    source: str
    target: str
    carried: PipeFormat
    aligned: bool = True
    overwrite: bool = False


def denoise_pipe(setup: Setup, job: PipeJob, on_ready: Callable[[], None] = lambda: None) -> FileReport:
    """Denoise from standard input, to standard output, or both.

    Input is used as soon as it arrives and each hop is written as soon as it is enhanced; the output ends with the
    input's last sample.  From a pipe into a file, Ctrl-C ends the input and keeps the file.

    Parameters
    ----------
    setup : Setup
    job : PipeJob
    on_ready : callable
        Called when the method is built and audio begins to flow.

    Raises
    ------
    AudioFileError
        If the input cannot be read or the output cannot be written.
    BrokenPipeError
        If the reader has closed the output.
    ConfigError
        If raw input has no rate.
    """
    if job.target != STDIO:
        require_free(Path(job.target), overwrite=job.overwrite)
    with ExitStack() as stack:
        signals = stack.enter_context(DeferredSignals())
        reader = _open_reader(job, signals, stack)
        encoding = reader.encoding
        with signals.allowed():  # building may compile for seconds
            denoiser, stream = Streams(setup).get(job.source, encoding.sample_rate, encoding.channels)
        writer = _open_writer(job, reader, stack)
        on_ready()
        started = perf_counter()
        meter = LevelMeter(encoding.sample_rate)
        flow = Flow(stream, writer.write, meter, aligned=job.aligned)
        blocks = reader.blocks() if isinstance(reader, StdinAudio) else reader.blocks(_FILE_BLOCK_SAMPLES)
        flow.run(blocks, _after_block(job, signals))
    name = "standard input" if job.source == STDIO else job.source
    warnings = [*reader.warnings, *notes(name, flow, None if isinstance(writer, StdoutAudio) else writer, encoding)]
    return make_report(
        setup,
        (job.source, job.target),
        encoding,
        denoiser,
        flow,
        meter,
        perf_counter() - started,
        writer.clipped,
        warnings,
        incomplete=reader.incomplete,
    )


def _after_block(job: PipeJob, signals: DeferredSignals) -> Callable[[], None]:
    if job.source == STDIO and job.target != STDIO:
        return lambda: None  # an interrupt is deferred to the next read, which treats it as the end
    return signals.check


def _open_reader(job: PipeJob, signals: DeferredSignals, stack: ExitStack) -> StdinAudio | AnySource:
    if job.source != STDIO:
        return stack.push(open_source(Path(job.source)))
    stdin, interrupt_ends = Stdin(signals), job.target != STDIO
    kind = _kind_on(stdin)
    if kind is None or (kind is WAV and is_plain_wave(stdin.peek(_WAVE_HEAD_BYTES))):
        return StdinAudio(job.carried, stdin, interrupt_ends=interrupt_ends)
    if not kind.plain and not have_media():
        raise missing_media(STANDARD_INPUT, kind.name)
    path = stack.enter_context(spooled(stdin, interrupt_ends=interrupt_ends))
    source = stack.push(open_source(path, STANDARD_INPUT))
    rate = source.encoding.sample_rate
    if job.carried.sample_rate not in (None, rate):
        asked = job.carried.sample_rate
        raise ConfigError(f"a rate of {asked} Hz was given, but the {kind.name} on standard input has {rate} Hz")
    return source


def _kind_on(stdin: Stdin) -> Kind | None:
    """Detect the input's container; for raw samples, only the first bytes are awaited."""
    head = stdin.peek(MAGIC_BYTES)
    return kind_of(stdin.peek(HEAD_BYTES) if may_be_frames(head) else head)


def _open_writer(job: PipeJob, reader: StdinAudio | AnySource, stack: ExitStack) -> StdoutAudio | AnyTarget:
    encoding, n_samples = reader.encoding, reader.n_samples
    if job.target != STDIO:
        return stack.push(open_target(Path(job.target), reader, reader.tags, overwrite=job.overwrite))
    raw_input = isinstance(reader, StdinAudio) and reader.header is None
    wanted = job.carried.form
    as_wave = wanted == "wav" or (wanted is None and not raw_input)
    form = wanted if wanted in RAW_FORMS else _FORMS.get(encoding.subtype, "s16")
    size = (n_samples or 0) * encoding.channels * SAMPLE_BYTES[form]
    exact = isinstance(reader, StdinAudio | Source) and encoding.container not in GUESSED
    known = n_samples is not None and exact and job.aligned and size < _WAVE_BYTES_MAX
    return StdoutAudio(form, encoding, as_wave=as_wave, data_bytes=size if known else None)
