"""Where a command line goes if its source or target is an audio device: build the session and run it to its end."""

from __future__ import annotations

import sys
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rtdenoise.cli.live import early
from rtdenoise.cli.live.options import LiveOptions
from rtdenoise.cli.live.stop_signals import StopSignals
from rtdenoise.cli.messages import FAILED, complain
from rtdenoise.cli.options import Options
from rtdenoise.live_audio.device_names import STDIO, is_device

if TYPE_CHECKING:
    from rtdenoise.config import Settings
    from rtdenoise.live_audio.assembly import Assembly
    from rtdenoise.live_audio.ends.files import Destination
    from rtdenoise.live_audio.ends.virtual_microphone import VirtualMicrophone
    from rtdenoise.live_audio.plan import LivePlan

LIVE_PRESET = "low"
VIRTUAL = "virtual-mic"


def run_live(options: Options) -> int:
    """Denoise from or to an audio device until it is stopped.

    Raises
    ------
    DeviceError
        If a device cannot be used; the message says what to do.
    """
    live = options.live
    with ExitStack() as stack:
        stop = stack.enter_context(StopSignals())
        target = options.target if options.target is not None else "speaker"
        ahead = None
        with stop.ending_at_once():
            if target.lower() != VIRTUAL:  # which sets the environment of the audio process
                ahead = stack.enter_context(closing(early.take()))

            from rtdenoise.cli.live.run import LiveRun
        settings = options.method.settings(LIVE_PRESET)
        _check_target(target, options)
        microphone = None
        if target.lower() == VIRTUAL:
            from rtdenoise.live_audio.ends.virtual_microphone import VirtualMicrophone

            microphone, target = VirtualMicrophone(live.live_channels), "speaker"
            stack.callback(microphone.close)
            with stop.ending_at_once():
                microphone.open()
        plan = _plan(settings, options, live, target, microphone)
        run = LiveRun(plan, options, stop, microphone, ahead)
        stack.push(run.live)
        try:
            run.listen()
            if live.record is not None:
                run.live.recorder.start()
            with stop.ending_at_once():
                _attach(run.live, plan, options, target)
            code = run.drive()
        finally:
            run.close()
    return _told_failure(run.incomplete, quiet=options.quiet) if run.incomplete else code


def _told_failure(why: str, *, quiet: bool) -> int:
    """A file that was not played or written whole is a failure, also for those who want to hear of errors only."""
    if quiet:
        complain(why)
    return FAILED


def _check_target(target: str, options: Options) -> None:
    """What cannot be written is an error before any device is opened."""
    if options.live.monitor_only and options.target is not None:
        raise click.UsageError("--monitor-only plays and writes nothing: leave --output out (--record DIR writes)")
    if target == STDIO and sys.stdout is not None and sys.stdout.isatty():
        raise click.UsageError("standard output is a terminal; pipe it somewhere, or name a file with --output")
    if not (is_device(target) or options.live.monitor_only):
        _destination(target, options).check()


def _destination(target: str, options: Options) -> Destination:
    from rtdenoise.live_audio.ends.files import Destination

    form = {} if options.form is None else {"form": options.form}
    return Destination(target=target, aligned=options.aligned, overwrite=options.overwrite, **form)


def _plan(
    settings: Settings, options: Options, live: LiveOptions, target: str, microphone: VirtualMicrophone | None
) -> LivePlan:
    from rtdenoise.live_audio.plan import LivePlan

    return LivePlan(
        settings=settings,
        source=options.source if is_device(options.source) else None,
        target=target if is_device(target) and not live.monitor_only else None,
        channels=live.live_channels,
        block=live.block,
        latency=live.latency,
        run_in=live.run_in,
        silent=microphone is not None and microphone.moves,
        channels_out=live.live_channels if microphone is not None else None,
    )


def _attach(live: Assembly, plan: LivePlan, options: Options, target: str) -> None:
    """Everything beside the devices: a file that is played, a file or a pipe that is written."""
    if plan.source is None:
        if options.source == STDIO:
            raise click.UsageError("standard input to a speaker: pipe it through `rtdenoise -f - -o -` into a player")
        live.play(Path(options.source))
    if plan.target is None and not options.live.monitor_only:
        live.write(_destination(target, options))
