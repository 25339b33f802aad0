"""``rtdenoise demo``: hear and see it work, with no file and no device at hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rtdenoise.cli.options import method_options, take_method_options
from rtdenoise.cli.strict import StrictCommand
from rtdenoise.disk.names import shown

if TYPE_CHECKING:
    from rtdenoise.demo import DemoReport


@click.command(cls=StrictCommand)
@click.option("-o", "--output", "folder", metavar="DIR", help="Where to write.  [default: a new folder rtdenoise-demo]")
@method_options
@click.option("--overwrite", is_flag=True, help="Replace files of an earlier run.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def command(folder: str | None, overwrite: bool, as_json: bool, **values: Any) -> None:
    r"""Denoise a clip that ships with the package, block by block as a live stream would.

    Prints the latency in its parts and the time each block took, and writes clean.wav, noisy.wav, denoised.wav and a
    picture.

    \b
    Examples:
        rtdenoise demo
        rtdenoise demo --method CAN --output heard
    """
    chosen = take_method_options(values)
    from rtdenoise.cli.messages import complain

    complain(
        "preparing the demonstration: a clip of speech in noise, processed block by block like live audio", kind="note"
    )
    from rtdenoise.cli.console import Preparing, stderr_console

    with Preparing(stderr_console(quiet=False), chosen.method or "the method") as preparing:
        from rtdenoise.cli.files import make_setup
        from rtdenoise.demo.run import DEMO_PRESET, fresh_folder, run_demo
        from rtdenoise.evaluate.report.drawing import NO_PICTURES, can_draw

        target = fresh_folder(Path(folder) if folder else None, overwrite=overwrite)
        setup = make_setup(chosen, DEMO_PRESET)
        report = run_demo(setup, target, overwrite=overwrite, on_ready=preparing.done)
    if not can_draw():
        complain(NO_PICTURES, kind="note")
    click.echo(json.dumps(report.as_dict(), indent=2, allow_nan=False) if as_json else text(report))


def text(report: DemoReport) -> str:
    """The report as a table."""
    latency, compute, budget = report.latency_ms, report.compute_us, report.budget_percent
    chosen = f"{shown(report.network)} ({report.engine})" if report.network else report.preset
    gained = report.si_sdr_after_db - report.si_sdr_before_db
    return "\n".join(
        [
            f"{report.method} {chosen}: {report.seconds:.1f} s of speech in noise at {report.snr_db:g} dB, "
            f"{report.hops} blocks of {latency['hop']:.1f} ms",
            "",
            "  delay of the method             ms",
            f"    waiting for what comes next {latency['algorithm']:6.1f}",
            f"    gathering one block         {latency['hop']:6.1f}",
            f"    together                    {latency['total']:6.1f}",
            "",
            "  computing one block      us   of its time",
            *(f"    {name:<15} {compute[name]:10.1f} {budget[name]:11.2f} %" for name in ("p50", "p99", "max")),
            "",
            f"  SI-SDR {report.si_sdr_before_db:.1f} dB -> {report.si_sdr_after_db:.1f} dB ({gained:+.1f} dB)",
            f"  RTF {report.rtf:.4f}",
            "",
            *(f"  {shown(name)}" for name in report.files),
        ]
    )
