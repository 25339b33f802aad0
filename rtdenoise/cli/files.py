"""Files and folders on the command line: run, show progress, report."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rtdenoise.cli.console import Bar, Preparing, stderr_console, stdout_console
from rtdenoise.cli.messages import FAILED, complain, one_line
from rtdenoise.cli.options import MethodOptions, Options
from rtdenoise.disk.names import as_text, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from rtdenoise.files import FileReport, FolderReport
    from rtdenoise.files.setup import Setup
    from rtdenoise.files.workers import AfterFile

_ROWS_MAX = 40


def make_setup(options: MethodOptions, default_preset: str) -> Setup:
    """Settings from the command line, with the method's heavy imports done."""
    from rtdenoise.files.setup import load_setup

    setup = load_setup(options.method, options.preset, options.config, options.overrides, default_preset)
    if setup.settings.method in ("SS", "WF"):
        import rtdenoise.methods.spectral.denoiser  # noqa: F401  # so that waiting for it is not taken for compiling
    return setup


def run_file(options: Options) -> int:
    """Denoise one file."""
    from rtdenoise.files.naming import target_for
    from rtdenoise.files.setup import FILE_PRESET, Streams
    from rtdenoise.files.single import run_file as denoise

    _refuse_pipe_options(options)
    setup = make_setup(options.method, FILE_PRESET)
    source = Path(options.source)
    target = target_for(source, options.target, setup.label)
    if options.plot:
        from rtdenoise.evaluate.report.drawing import require_drawing
        from rtdenoise.files.naming import require_free
        from rtdenoise.plot import picture_path

        require_drawing()
        require_free(picture_path(target), overwrite=options.overwrite)
    console = stderr_console(quiet=options.quiet)
    with Preparing(console, setup.settings.method) as preparing, Bar(console, shown(source.name)) as bar:

        def progress(done: float, total: float) -> None:
            preparing.done()
            bar.update(done, total)

        report = denoise(Streams(setup), source, target, overwrite=options.overwrite, progress=progress)
    picture = _plot(report, options) if options.plot else None
    _print_file(options, report, picture)
    return code_of(options, [report])


def code_of(options: Options, reports: Sequence[FileReport]) -> int:
    """The exit code of finished files: an error where sound is missing, whose reason is said even with --quiet."""
    incomplete = [report for report in reports if report.incomplete]
    for report in incomplete if options.quiet else ():
        complain(next(iter(report.warnings), f"{report.source}: sound is missing"))
    return FAILED if incomplete else 0


def _plot(report: FileReport, options: Options) -> str:
    from rtdenoise.plot import plot_report

    return str(plot_report(report, overwrite=options.overwrite))


def _plotter(options: Options) -> AfterFile | None:
    if not options.plot:
        return None
    from rtdenoise.evaluate.report.drawing import require_drawing
    from rtdenoise.plot import plot_report

    require_drawing()
    return partial(plot_report, overwrite=options.overwrite)


def _print_file(options: Options, report: FileReport, picture: str | None) -> None:
    if options.as_json:
        click.echo(
            json.dumps(report.as_dict() | ({"plot": as_text(picture)} if picture else {}), indent=2, allow_nan=False)
        )
        return
    if options.quiet:
        return
    click.echo(report.line())
    if picture:
        click.echo(shown(picture))
    if options.verbosity:
        click.echo(details(report))


def details(report: FileReport) -> str:
    """Levels and latency parts, indented."""
    latency = report.latency_ms
    levels = (report.level_before_dbfs, report.level_after_dbfs, report.peak_before_dbfs, report.peak_after_dbfs)
    before, after, peak_before, peak_after = ("silence" if v is None else f"{v:.1f} dBFS" for v in levels)
    return (
        f"  {report.container} {report.subtype}, {report.sample_rate} Hz, {report.channels} channels\n"
        f"  level {before} -> {after}, peak {peak_before} -> {peak_after}\n"
        f"  delay if live: algorithm {latency['algorithm']:.1f} ms + hop {latency['hop']:.1f} ms; the file is aligned"
    )


def run_folder(options: Options) -> int:
    """Denoise a folder; exit code 1 if any file failed."""
    from rtdenoise.files.folder import run_folder as denoise
    from rtdenoise.files.setup import FILE_PRESET

    _refuse_pipe_options(options)
    setup = make_setup(options.method, FILE_PRESET)
    target = Path(options.target) if options.target else None
    after_file = _plotter(options)
    console = stderr_console(quiet=options.quiet)
    with Preparing(console, setup.settings.method) as preparing, Bar(console, shown(options.source)) as bar:

        def progress(done: int, total: int) -> None:
            preparing.done()
            bar.update(done, total)

        report = denoise(
            setup,
            Path(options.source),
            target,
            overwrite=options.overwrite,
            jobs=options.jobs,
            progress=progress,
            after_file=after_file,
        )
    _print_folder(options, report)
    for path, message in report.failed.items():
        complain(message if path in message else f"{path}: {message}")
    for message in report.left_out.values():
        complain(message, kind="left out")
    code = code_of(options, report.files)
    return FAILED if report.failed else code


def _print_folder(options: Options, report: FolderReport) -> None:
    if options.as_json:
        values = report.as_dict()
        failed = {path: one_line(message) for path, message in values["failed"].items()}
        click.echo(json.dumps(values | {"failed": failed}, indent=2, allow_nan=False))
        return
    if options.quiet:
        return
    if report.files:
        stdout_console().print(_table(report))
    if report.skipped:
        click.echo(f"{len(report.skipped)} skipped: their output exists; --overwrite makes it again")
    pace = report.elapsed_seconds / report.seconds if report.seconds else 0.0
    click.echo(
        f"{shown(report.target)}: {len(report.files)} files, {report.seconds:.1f} s of audio in "
        f"{report.elapsed_seconds:.1f} s (RTF {pace:.4f}, {report.jobs} processes), {len(report.failed)} failed"
        f"{_how_many(report)}"
    )


def _how_many(report: FolderReport) -> str:
    """What else there is to count."""
    incomplete = sum(item.incomplete for item in report.files)
    counted = ((incomplete, "incomplete"), (len(report.left_out), "left out"))
    return "".join(f", {count} {what}" for count, what in counted if count)


def _table(report: FolderReport) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD)
    table.add_column("file", overflow="fold", min_width=16)
    for name in ("s", "Hz", "ch", "dBFS", "after", "noise dB", "RTF"):
        table.add_column(name, justify="right", no_wrap=True)
    for item in report.files[:_ROWS_MAX]:
        levels = (item.level_before_dbfs, item.level_after_dbfs)
        reduction = item.noise_reduction_db
        table.add_row(
            Text(shown(Path(item.source).relative_to(report.source))),
            f"{item.seconds:.1f}",
            str(item.sample_rate),
            str(item.channels),
            *("-" if value is None else f"{value:.1f}" for value in levels),
            "-" if reduction is None else f"{-reduction:+.1f}",
            f"{item.rtf:.4f}",
        )
    if len(report.files) > _ROWS_MAX:
        table.add_row(f"... and {len(report.files) - _ROWS_MAX} more")
    return table


def _refuse_pipe_options(options: Options) -> None:
    if options.rate is not None or options.form is not None or options.pipe_channels != 1 or not options.aligned:
        raise click.UsageError(
            "--rate, --format, --pipe-channels and --no-align belong to pipes (--input - or --output -)"
        )
