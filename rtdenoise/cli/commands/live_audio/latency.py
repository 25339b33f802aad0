"""Measure latency."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from rtdenoise.cli.strict import StrictCommand


@click.command(cls=StrictCommand)
@click.option("--loopback", is_flag=True, help="Play a chirp and listen for it: the speaker must reach the microphone.")
@click.option("-f", "--input", "source", default="mic", metavar="DEVICE", help="Microphone.  [default: mic]")
@click.option("-o", "--output", "target", default="speaker", metavar="DEVICE", help="Speaker.  [default: speaker]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(*, loopback: bool, source: str, target: str, as_json: bool) -> None:
    r"""Measure the true round trip of two devices, and print it beside the one they report.

    The sound goes out of the speaker and back into the microphone through a cable, a virtual card or the air; the
    denoiser is not in it: its own delay is exact and known (`rtdenoise methods`).

    \b
    Examples:
        rtdenoise latency --loopback
    """
    from rtdenoise.live_audio.audio.loopback import measure

    if not loopback:
        raise click.UsageError("give --loopback: it plays a short chirp through the speaker")
    trip = measure(source, target)
    if as_json:
        click.echo(json.dumps(asdict(trip)))
        return
    click.echo(
        f"{trip.target} -> {trip.source} at {trip.rate_hz} Hz: measured {trip.measured_ms:.2f} ms "
        f"({', '.join(map(str, trip.samples))} samples), reported {trip.reported_ms:.2f} ms"
    )
