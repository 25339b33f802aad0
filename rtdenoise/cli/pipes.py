"""Standard input and output on the command line: only audio on stdout, all messages on stderr."""

from __future__ import annotations

import json
import sys

import click

from rtdenoise.cli.console import Preparing, stderr_console
from rtdenoise.cli.files import code_of, details, make_setup
from rtdenoise.cli.options import Options
from rtdenoise.live_audio.device_names import STDIO


def run_pipe(options: Options) -> int:
    """Denoise from standard input, to standard output, or both."""
    from rtdenoise.files import PipeFormat, PipeJob, denoise_pipe
    from rtdenoise.files.setup import PIPE_PRESET

    target = options.target if options.target is not None else STDIO
    if options.plot:
        raise click.UsageError("--plot needs a file in and a file out")
    if options.source == STDIO and sys.stdin is not None and sys.stdin.isatty():
        raise click.UsageError("standard input is a terminal; pipe audio into it")
    if target == STDIO and sys.stdout is not None and sys.stdout.isatty():
        raise click.UsageError("standard output is a terminal; pipe it somewhere, or name a file with --output")
    carried = PipeFormat(form=options.form, sample_rate=options.rate, channels=options.pipe_channels)
    setup = make_setup(options.method, PIPE_PRESET)
    job = PipeJob(
        source=options.source, target=target, carried=carried, aligned=options.aligned, overwrite=options.overwrite
    )
    with Preparing(stderr_console(quiet=options.quiet), setup.settings.method) as preparing:
        report = denoise_pipe(setup, job, preparing.done)
    if options.as_json:
        click.echo(json.dumps(report.as_dict(), indent=2, allow_nan=False), err=target == STDIO)
    elif not options.quiet and (target != STDIO or options.verbosity):
        click.echo(report.line(), err=target == STDIO)
        if options.verbosity:
            click.echo(details(report), err=target == STDIO)
    return code_of(options, [report])
