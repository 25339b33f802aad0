"""Live audio with all its options."""

from __future__ import annotations

from typing import Any

import click

from rtdenoise.cli.live.options import live_options, take_live_options
from rtdenoise.cli.options import Options, method_options, take_method_options
from rtdenoise.cli.strict import StrictCommand


@click.command(cls=StrictCommand)
@click.option(
    "-f",
    "--input",
    "source",
    default="mic",
    metavar="SOURCE",
    help="mic, mic:NAME, an index or a file.  [default: mic]",
)
@click.option(
    "-o",
    "--output",
    "target",
    metavar="TARGET",
    help="speaker, speaker:NAME, an index, virtual-mic, a file or -.  [default: speaker]",
)
@method_options
@live_options
@click.option("--overwrite", is_flag=True, help="Replace files that exist.")
@click.option("--json", "as_json", is_flag=True, help="Print a summary as JSON at the end.")
@click.option("--format", "form", type=click.Choice(["s16", "s24", "s32", "f32", "wav"]), help="Samples on a pipe.")
@click.option("-q", "--quiet", is_flag=True, help="Print errors only.")
def command(**values: Any) -> int:
    r"""Denoise a microphone live, into a speaker, a virtual microphone, a file or a pipe.

    \b
    Examples:
        rtdenoise live --method WF --record takes
        rtdenoise live --output virtual-mic
        rtdenoise live --monitor-only --json --every 1
    """
    from rtdenoise.cli.live.route import run_live

    method, live = take_method_options(values), take_live_options(values)
    return run_live(Options(method=method, live=live, **values))
