"""Where a command line goes if its source or target is an audio device: build the session and run it to its end."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rtdenoise.cli.live.ends import Output, PlayedFile
from rtdenoise.cli.live.options import LiveOptions
from rtdenoise.cli.live.request import LiveRequest, from_root
from rtdenoise.cli.live.run import LiveRun
from rtdenoise.cli.live.stop_signals import StopSignals
from rtdenoise.cli.messages import FAILED, complain
from rtdenoise.cli.options import STDIO, Options, is_device

if TYPE_CHECKING:
    from rtdenoise.config import Settings
    from rtdenoise.live_audio.ends.virtual_microphone import VirtualMicrophone
    from rtdenoise.live_audio.plan import LivePlan

LIVE_PRESET = "low"
VIRTUAL = "virtual-mic"


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
            from rtdenoise.live_audio.ends.virtual_microphone import VirtualMicrophone

            microphone, target = VirtualMicrophone(live.live_channels), "speaker"
            stack.callback(microphone.close)
            with stop.ending_at_once():
                microphone.open()
        plan = _plan(settings, options, live, target, microphone)
        run = LiveRun(plan, options, stop, microphone)
        try:
            if live.record is not None:
                run.recorder.start()
            with stop.ending_at_once():
                _attach(run, plan, options, target, stack)
            code = run.drive()
        finally:
            run.close()
    return _told_failure(run.incomplete, quiet=options.quiet) if run.incomplete else code


def _told_failure(why: str, *, quiet: bool) -> int:
    """A file that was not played or written whole is a failure, also for those who want to hear of errors only."""
    if quiet:
        complain(why)
    return FAILED


def _check_target(target: str, options: LiveRequest) -> None:
    """What cannot be written is an error before any device is opened."""
    if options.live.monitor_only and options.target is not None:
        raise click.UsageError("--monitor-only plays and writes nothing: leave --output out (--record DIR writes)")
    if target == STDIO and sys.stdout is not None and sys.stdout.isatty():
        raise click.UsageError("standard output is a terminal; pipe it somewhere, or name a file with --output")
    if is_device(target) or target == STDIO or options.live.monitor_only:
        return
    from rtdenoise.errors import AudioFileError
    from rtdenoise.files.naming import require_free  # loads the compiler, which devices need not wait for
    from rtdenoise.sound.encoding import containers_for

    containers_for(Path(target))
    require_free(Path(target), overwrite=options.overwrite)
    if not Path(target).absolute().parent.is_dir():
        raise AudioFileError(f"{target}: its folder does not exist; make it first")


def _plan(
    settings: Settings, options: LiveRequest, live: LiveOptions, target: str, microphone: VirtualMicrophone | None
) -> LivePlan:
    from rtdenoise.live_audio.plan import LivePlan

    return LivePlan(
        settings=settings,
        source=options.source if is_device(options.source) else None,
        target=target if is_device(target) and not live.monitor_only else None,
        channels=live.live_channels,
        block=live.block,
        latency=live.latency,
        silent=microphone is not None and microphone.moves,
        channels_out=live.live_channels if microphone is not None else None,
    )


def _attach(run: LiveRun, plan: LivePlan, options: LiveRequest, target: str, stack: ExitStack) -> None:
    """Everything beside the devices: a file that is played, a file or a pipe that is written."""
    if plan.source is None:
        run.played = PlayedFile(run.session, options.source, run.tell, stack)
    if plan.target is None and not options.live.monitor_only:
        run.output = Output(run.session, options, target, run.tell, stack)
