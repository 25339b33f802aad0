"""Where a command line goes if its source or target is an audio device: build the session and run it to its end."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from rtdenoise.cli.entry import FAILED, complain
from rtdenoise.cli.live_options import LiveOptions
from rtdenoise.cli.live_record import new_file
from rtdenoise.cli.live_request import LiveRequest, from_root
from rtdenoise.cli.options import STDIO, Options, is_index, is_live

if TYPE_CHECKING:
    from rtdenoise.cli.live_run import LiveRun
    from rtdenoise.config import Settings
    from rtdenoise.live.plan import LivePlan
    from rtdenoise.live.session import Session
    from rtdenoise.live.taps import Sink
    from rtdenoise.live.virtual_microphone import VirtualMicrophone

LIVE_PRESET = "low"
VIRTUAL = "virtual-mic"
_FILE_BLOCK = 4096
_FILE_SUFFIX = re.compile(r"\.[A-Za-z]\w{1,4}")
_FINISH_SECONDS = 0.4  # a pipe that nobody reads must not keep it


def run_live(asked: Options | LiveRequest) -> int:
    """Denoise from or to an audio device until it is stopped.

    Raises
    ------
    DeviceError
        If a device cannot be used; the message says what to do.
    """
    from rtdenoise.cli.live_run import LiveRun, StopSignals
    from rtdenoise.config import load_settings

    options = asked if isinstance(asked, LiveRequest) else from_root(asked)
    live, method = options.live, options.method
    settings = load_settings(
        method=method.method,
        preset=method.preset,
        config=method.config,
        overrides=method.overrides,
        default_preset=LIVE_PRESET,
    )
    with ExitStack() as stack:
        stop = stack.enter_context(StopSignals())
        target = options.target if options.target is not None else "speaker"
        _check_target(target, options)
        microphone = None
        if target.lower() == VIRTUAL:
            from rtdenoise.live.virtual_microphone import VirtualMicrophone

            microphone, target = stack.enter_context(VirtualMicrophone(live.live_channels)), "speaker"
        plan = _plan(settings, options, live, target, microphone)
        run = LiveRun(plan, options, live, stop, microphone)
        try:
            stack.callback(run.recorder.stop)
            if live.record is not None:
                run.recorder.start()
            with stop.ending_at_once():
                _attach(run, plan, options, live, target, stack)
            stack.callback(run.session.close)  # first of all: taps and recordings then carry what is left
            code = run.drive()
        finally:
            run.close()
    return _told_failure(run, quiet=options.quiet) if live.record is not None and run.recorder.failed else code


def _told_failure(run: LiveRun, *, quiet: bool) -> int:
    """A recording that was asked for and is not whole is a failure, also for those who want to hear of errors only."""
    if quiet:
        complain(run.recorder.failed)
    return FAILED


def _is_device(name: str) -> bool:
    """Whether a source or target is a device: mic, speaker:NAME, an index, or a name that is no file's."""
    if is_live(name) or is_index(name):
        return True
    path = Path(name)
    return not (name == STDIO or path.exists() or path.name != name or _FILE_SUFFIX.fullmatch(path.suffix))


def _check_target(target: str, options: LiveRequest) -> None:
    """A file that cannot be written is an error before any device is opened."""
    if _is_device(target) or target == STDIO or options.live.monitor_only:
        return
    from rtdenoise.errors import AudioFileError
    from rtdenoise.files.naming import require_free  # loads the compiler, which devices need not wait for

    require_free(Path(target), overwrite=options.overwrite)
    if not Path(target).absolute().parent.is_dir():
        raise AudioFileError(f"{target}: its folder does not exist; make it first")


def _plan(
    settings: Settings, options: LiveRequest, live: LiveOptions, target: str, microphone: VirtualMicrophone | None
) -> LivePlan:
    from rtdenoise.live.plan import LivePlan

    return LivePlan(
        settings=settings,
        source=options.source if _is_device(options.source) else None,
        target=target if _is_device(target) and not live.monitor_only else None,
        channels=live.live_channels,
        block=live.block,
        latency=live.latency,
        silent=microphone is not None and microphone.moves,
        channels_out=live.live_channels if microphone is not None else None,
    )


def _attach(
    run: LiveRun, plan: LivePlan, options: LiveRequest, live: LiveOptions, target: str, stack: ExitStack
) -> None:
    """Everything beside the devices: a file that is played, a file or a pipe that is written."""
    from rtdenoise.live.taps import Feeder, Tap, TapThread

    session = run.session
    pairs: list[tuple[Tap, Sink]] = []
    if plan.target is None and not live.monitor_only:
        pairs.append((Tap(session, "clean", late=options.aligned), _LazySink(session, stack, options, target)))
    if plan.source is None:
        blocks, rate = _source(options, stack)
        feeder = Feeder(session, blocks, rate)
        stack.callback(feeder.finish)
    if pairs:
        run.output = TapThread(pairs, lambda _line: None)
        stack.callback(run.output.finish, _FINISH_SECONDS)


def _source(options: LiveRequest, stack: ExitStack) -> tuple[Iterator[Any], int]:
    from rtdenoise.files.source import Source

    if options.source == STDIO:
        raise click.UsageError("standard input to a speaker: pipe it through `rtdenoise -f - -o -` into a player")
    source = stack.enter_context(Source(Path(options.source)))
    return source.blocks(_FILE_BLOCK), source.encoding.sample_rate


class _LazySink:
    """A file or standard output, opened with the first samples, when the device's rate is known, and kept at it."""

    def __init__(self, session: Session, stack: ExitStack, options: LiveRequest, target: str) -> None:
        self._session, self._options, self._target = session, options, target
        self._stack = stack.enter_context(ExitStack())
        self._write: Any = None
        self._rate = self._now = 0
        self._resamplers: list[Any] = []

    def write(self, samples: Any) -> None:
        """Append (n, channels) float32; a device that came back at another rate is resampled to the first."""
        now = int(self._session.region.live["rate"][0])
        if self._write is None:
            self._rate = self._now = now
            self._open(now, samples.shape[1])
        if now != self._now:
            self._change(now, samples.shape[1])
        if self._resamplers:
            columns = zip(self._resamplers, samples.T, strict=True)
            samples = np.stack([resampler.push(np.ascontiguousarray(column)) for resampler, column in columns], 1)
        self._write(samples)

    def _change(self, rate: int, channels: int) -> None:
        from rtdenoise.streaming.resampler import Resampler

        self._now = rate
        self._resamplers = [] if rate == self._rate else [Resampler(rate, self._rate) for _ in range(channels)]

    def _open(self, rate: int, channels: int) -> None:
        if self._target == STDIO:
            self._write = _pipe_writer(self._options.form or "s16", rate, channels)
            return
        self._write = self._stack.enter_context(
            new_file(Path(self._target), rate, channels, overwrite=self._options.overwrite)
        ).write


def _pipe_writer(form: str, rate: int, channels: int) -> Any:
    from rtdenoise.files.pcm import to_bytes
    from rtdenoise.files.wave import wave_header

    raw = "s16" if form == "wav" else form
    if form == "wav":
        os.write(1, wave_header(raw, rate, channels, None))

    def write(samples: Any) -> None:
        data = memoryview(to_bytes(samples, raw)[0])
        while data:
            data = data[os.write(1, data) :]

    return write
