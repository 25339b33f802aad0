"""``rtdenoise prepare``: compile ahead of use."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from rtdenoise.cli.strict import StrictCommand
from rtdenoise.errors import ConfigError

if TYPE_CHECKING:
    from rtdenoise.preparation import Prepared


@click.command(cls=StrictCommand, short_help="Compile now what would be compiled at its first use.")
@click.option("-a", "--method", metavar="NAME", help="SS, WF, CAN (also ML) or bypass.  [default: WF and CAN]")
@click.option("--preset", metavar="NAME", help="One preset.  [default: balanced, quality and low]")
@click.option("--rate", "rates_hz", metavar="HZ[,HZ]", help="Sample rates.  [default: 16000,44100,48000]")
@click.option("--channels", default=1, show_default=True, metavar="N", help="Channels of the sound.")
@click.option("--model", metavar="NAME", help="A network by its name or folder.  [default: can-live and can-small]")
@click.option(
    "--live/--no-live", default=True, show_default=True, help="Also compile for live audio; takes twice as long."
)
@click.option("--to", "folder", metavar="DIR", help="Where to keep the code.  [default: your cache]")
@click.option("--portable", is_flag=True, help="For every machine of this kind of processor; needs --to.")
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each thing that is ready.")
def command(
    *,
    method: str | None,
    preset: str | None,
    rates_hz: str | None,
    channels: int,
    model: str | None,
    live: bool,
    folder: str | None,
    portable: bool,
    as_json: bool,
) -> None:
    r"""Compile now what would be compiled at its first use: for images, servers and installers.

    With --to, set RTDENOISE_CACHE_DIR to that folder where the code is to be used.

    \b
    Examples:
        rtdenoise prepare
        rtdenoise prepare --method WF --preset low --rate 48000
        rtdenoise prepare --model can-live --to /opt/rtdenoise --portable
    """
    from rtdenoise.preparation import prepare

    def show(done: Prepared) -> None:
        channels_word = f", {done.channels} channels" if done.channels > 1 else ""
        line = f"{done.method} {done.name} at {done.sample_rate} Hz{channels_word}: ready in {done.seconds:.1f} s"
        if done.processor != "this one":
            line += f", for {done.processor}"
        click.echo(json.dumps(asdict(done)) if as_json else line)

    prepare(
        method,
        preset=preset,
        sample_rate=None if rates_hz is None else _rates(rates_hz),
        channels=channels,
        model=model,
        live=live,
        to=folder,
        portable=portable,
        on_item=show,
    )


def _rates(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise ConfigError(f"--rate {text} must be sample rates in Hz, such as 48000 or 16000,48000") from error
