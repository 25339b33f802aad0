"""List audio devices."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from rtdenoise.cli.console import stdout_console
from rtdenoise.cli.strict import StrictCommand

_PIPE_COLUMNS = 200  # a program that reads the table wants no broken lines


@click.command(cls=StrictCommand)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(*, as_json: bool) -> None:
    r"""List audio devices: channels, rate, latency, and which one is the default.

    \b
    Examples:
        rtdenoise devices
        rtdenoise --input mic:2 --output "speaker:usb"
    """
    from rtdenoise.live_audio.audio.devices import list_devices

    devices = list_devices()
    if as_json:
        click.echo(json.dumps([asdict(device) for device in devices]))
        return
    if not devices:
        click.echo("PortAudio finds no audio device; `rtdenoise doctor` looks for the reason")
        return
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD)
    for name in ("", "device", "host API", "in", "out", "Hz", "ms in", "ms out", "default"):
        table.add_column(
            name,
            justify="left" if name in ("device", "host API", "default") else "right",
            overflow="fold",  # names are there to be copied whole
            no_wrap=name not in ("device", "host API"),
        )
    for device in devices:
        marks = [word for word, is_it in (("mic", device.default_input), ("speaker", device.default_output)) if is_it]
        table.add_row(
            str(device.index),
            Text(device.name),
            Text(device.host_api),
            str(device.channels_in),
            str(device.channels_out),
            str(device.rate_hz),
            f"{1000 * device.latency_in_seconds:.1f}",
            f"{1000 * device.latency_out_seconds:.1f}",
            " ".join(marks),
        )
    console = stdout_console()
    if not console.is_terminal:
        console.width = max(console.width, _PIPE_COLUMNS)
    console.print(table)
