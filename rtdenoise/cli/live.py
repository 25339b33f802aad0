"""Where a command line goes if its source or target is an audio device: build the session and run it to its end."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from rtdenoise.cli.entry import FAILED, complain
from rtdenoise.cli.live_options import LiveOptions
from rtdenoise.cli.live_record import MISSING, new_file
from rtdenoise.cli.live_request import LiveRequest, from_root
from rtdenoise.cli.live_run import LiveRun, StopSignals
from rtdenoise.cli.options import STDIO, Options, is_index, is_live
from rtdenoise.live.taps import Feeder, Gaps, Tap, TapThread

if TYPE_CHECKING:
    from rtdenoise.config import Settings
    from rtdenoise.live.plan import LivePlan
    from rtdenoise.live.virtual_microphone import VirtualMicrophone

LIVE_PRESET = "low"
VIRTUAL = "virtual-mic"
_FILE_BLOCK = 4096
_FILE_SUFFIX = re.compile(r"\.[A-Za-z]\w{1,4}")
_PATIENCE_SECONDS = 5.0  # at the end, with a pipe or a disk that takes nothing
_SILENCE = 4096  # samples written at once for what is missing
_PIPE_BYTES = 4096  # written at once: a larger write to a slow pipe would not return before all of it is read
_TOO_SLOW = "the reader of standard output is too slow: {missing} s were left out"


def run_live(asked: Options | LiveRequest) -> int:
    """Denoise from or to an audio device until it is stopped.

    Raises
    ------
    DeviceError
        If a device cannot be used; the message says what to do.
    """
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

            microphone, target = VirtualMicrophone(live.live_channels), "speaker"
            stack.callback(microphone.close)
            with stop.ending_at_once():
                microphone.open()
        plan = _plan(settings, options, live, target, microphone)
        run = _WholeRun(plan, options, live, stop, microphone)
        try:
            if live.record is not None:
                run.recorder.start()
            with stop.ending_at_once():
                _attach(run, plan, options, live, target, stack)
            code = run.drive()
        finally:
            run.close()
    return _told_failure(run.incomplete, quiet=options.quiet) if run.incomplete else code


def _told_failure(why: str, *, quiet: bool) -> int:
    """A recording that was asked for and is not whole is a failure, also for those who want to hear of errors only."""
    if quiet:
        complain(why)
    return FAILED


class _WholeRun(LiveRun):
    """A run whose outputs carry what is left before the summary, which says what is missing from them."""

    sink: _LazySink | None = None

    @property
    def incomplete(self) -> str:
        """Why a file that was asked for is not whole; empty if all are."""
        if self._live.record is not None and self.recorder.failed:
            return self.recorder.failed
        return self.sink.incomplete if self.sink is not None else ""

    def summary(self) -> dict[str, Any]:
        """The whole run, for JSON."""
        output = self.sink.gaps.seconds if self.sink is not None else 0.0
        return {
            **super().summary(),
            "recording_missing_seconds": round(self.recorder.missing_seconds, 3),
            "output_missing_seconds": round(output, 3),
        }

    def close(self) -> None:
        """End the session, then all that it wrote to; fine to call twice."""
        super().close()
        if self.output is not None and self.sink is not None:
            self.sink.end(self.output.finish(_PATIENCE_SECONDS, self._in_a_hurry))
            self.output = None
        self.recorder.stop()

    def _in_a_hurry(self) -> bool:
        """A pipe must not keep those who want to stop; a file is to be whole."""
        return self._stop.asked and self._options.target == STDIO


def _is_device(name: str) -> bool:
    """Whether a source or target is a device: mic, speaker:NAME, an index, or a name that is no file's."""
    if is_live(name) or is_index(name):
        return True
    path = Path(name)
    return not (name == STDIO or path.exists() or path.name != name or _FILE_SUFFIX.fullmatch(path.suffix))


def _check_target(target: str, options: LiveRequest) -> None:
    """What cannot be written is an error before any device is opened."""
    if options.live.monitor_only and options.target is not None:
        raise click.UsageError("--monitor-only plays and writes nothing: leave --output out (--record DIR writes)")
    if target == STDIO and sys.stdout is not None and sys.stdout.isatty():
        raise click.UsageError("standard output is a terminal; pipe it somewhere, or name a file with --output")
    if _is_device(target) or target == STDIO or options.live.monitor_only:
        return
    from rtdenoise.errors import AudioFileError
    from rtdenoise.files.encoding import containers_for
    from rtdenoise.files.naming import require_free  # loads the compiler, which devices need not wait for

    containers_for(Path(target))
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
    run: _WholeRun, plan: LivePlan, options: LiveRequest, live: LiveOptions, target: str, stack: ExitStack
) -> None:
    """Everything beside the devices: a file that is played, a file or a pipe that is written."""
    session = run.session
    if plan.source is None:
        blocks, rate = _source(options, stack)
        feeder = Feeder(session, blocks, rate)
        stack.callback(feeder.finish)
    if plan.target is None and not live.monitor_only:
        run.sink = _LazySink(run, stack, options, target)
        run.output = TapThread([(Tap(session, "clean", late=options.aligned), run.sink)], lambda _line: None)


def _source(options: LiveRequest, stack: ExitStack) -> tuple[Iterator[Any], int]:
    from rtdenoise.files.source import Source

    if options.source == STDIO:
        raise click.UsageError("standard input to a speaker: pipe it through `rtdenoise -f - -o -` into a player")
    source = stack.enter_context(Source(Path(options.source)))
    return source.blocks(_FILE_BLOCK), source.encoding.sample_rate


class _LazySink:
    """A file or standard output, opened with the first samples, when the device's rate is known, and kept at it."""

    def __init__(self, run: LiveRun, stack: ExitStack, options: LiveRequest, target: str) -> None:
        self._session, self._options, self._target = run.session, options, target
        self._stack = stack.enter_context(ExitStack())
        self._write: Any = None
        self._rate = self._now = self._n = 0
        self._resamplers: list[Any] = []
        self.gaps = Gaps(_TOO_SLOW if target == STDIO else f"{target}: {MISSING}", run.tell)

    @property
    def incomplete(self) -> str:
        """Why a file is not whole; empty if it is, and for a pipe, whose reader has only been told."""
        if self._target == STDIO or not self.gaps.seconds:
            return ""
        return f"{self._target}: {self.gaps.seconds:.2f} s are missing: the disk or this process did not keep up"

    def write(self, samples: Any, missing: int = 0) -> None:
        """Append (n, channels) float32; a device that came back at another rate is resampled to the first.

        What is missing before them is silence in a file, which keeps its time; a pipe whose reader is too slow goes on.
        """
        now = int(self._session.region.live["rate"][0]) or self._now  # 0: these are the last of a stream that ended
        if not now:
            return
        if self._write is None:
            self._rate = self._now = now
            self._open(now, samples.shape[1])
        if now != self._now:
            self._change(now, samples.shape[1])
        if missing:
            self._miss(missing, samples.shape[1])
        self._append(samples)

    def _miss(self, n: int, channels: int) -> None:
        self.gaps.add(n / self._now, self._n / self._rate)
        for start in range(0, n if self._target != STDIO else 0, _SILENCE):
            self._append(np.zeros((min(n - start, _SILENCE), channels), np.float32))

    def _append(self, samples: Any) -> None:
        if self._resamplers:
            columns = zip(self._resamplers, samples.T, strict=True)
            samples = np.stack([resampler.push(np.ascontiguousarray(column)) for resampler, column in columns], 1)
        self._write(samples)
        self._n += samples.shape[0]

    def end(self, left: int) -> None:
        """Nothing more is written, and so many samples were not."""
        if left and self._now:
            self.gaps.add(left / self._now, self._n / self._rate)
        self.gaps.tell()

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
            data = data[os.write(1, data[:_PIPE_BYTES]) :]

    return write
