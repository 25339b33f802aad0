"""``rtdenoise batch``: archives, over processes or a cluster."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from rtdenoise.cli.options import method_options, take_method_options
from rtdenoise.cli.strict import StrictCommand

_SHOWN_FAILURES = 20


@click.command(cls=StrictCommand)
@click.argument("source")
@click.argument("target")
@method_options
@click.option("--jobs", type=click.IntRange(min=1), metavar="N", help="Local processes.  [default: all cores]")
@click.option("--scheduler", metavar="ADDRESS", help="A Dask cluster, for example tcp://10.0.0.5:8786.")
@click.option("--retries", type=int, default=2, show_default=True, help="Retries after an error of storage or network.")
@click.option("--overwrite", is_flag=True, help="Replace targets that are not from a batch.")
@click.option(
    "--summary", type=click.Path(path_type=Path), metavar="FILE", help="Write a row per file: .parquet or .csv."
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option("-q", "--quiet", is_flag=True, help="Print errors only.")
def command(**values: Any) -> int:
    r"""Denoise every audio file below SOURCE into the same tree below TARGET.

    Both are folders or addresses that fsspec knows: s3://, gs://, ssh:// and more, each with its own package.  Run it
    again after an interruption: what is done and whole is skipped.  A file appears whole or not at all; one that fails
    is named, and the rest goes on.

    \b
    Examples:
        rtdenoise batch recordings/ clean/ --summary clean.parquet
        rtdenoise batch s3://archive/raw s3://archive/clean --scheduler tcp://10.0.0.5:8786
    """
    from rtdenoise.batch import Request, batch
    from rtdenoise.cli.console import Bar, stderr_console
    from rtdenoise.cli.files import make_setup
    from rtdenoise.cli.messages import FAILED, complain
    from rtdenoise.files.setup import FILE_PRESET
    from rtdenoise.sound.recordings import left_out_line

    quiet, as_json = values.pop("quiet"), values.pop("as_json")
    setup = make_setup(take_method_options(values), FILE_PRESET)
    request = Request(setup=setup, **values)
    with Bar(stderr_console(quiet=quiet), "files") as bar:
        report = batch(request, lambda done, total: bar.update(done, max(total, 1)))
    failed = [row for row in report.rows if row["status"] == "failed"]
    for row in failed[:_SHOWN_FAILURES]:
        complain(f"{row['name']}: {row['error']}")
    if line := left_out_line(request.source, report.left_out):
        complain(line, kind="left out")
    if as_json:
        click.echo(json.dumps(report.as_dict()))
    elif not quiet:
        pace = report.seconds / max(report.elapsed_seconds, 1e-9)
        click.echo(
            f"{report.count('done')} done, {report.count('skipped')} skipped, {len(failed)} failed"
            f"{f', {len(report.left_out)} left out' if report.left_out else ''}; "
            f"{report.seconds:.1f} s of audio in {report.elapsed_seconds:.1f} s, {pace:.0f} times real time"
        )
    return FAILED if failed else 0
