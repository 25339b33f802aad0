"""``rtdenoise wyoming``: a Wyoming service in front of a microphone service."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from rtdenoise.cli.strict import StrictCommand


@click.command(cls=StrictCommand)
@click.option("--uri", required=True, metavar="URI", help="Where to listen: tcp://HOST:PORT or unix://PATH.")
@click.option("--upstream-uri", required=True, metavar="URI", help="Where the microphone service is.")
@click.option("-a", "--method", metavar="NAME", help="SS, WF, CAN (also ML) or bypass.  [default: WF]")
@click.option("--preset", default="low", show_default=True, metavar="NAME", help="See `rtdenoise methods`.")
@click.option("--model", metavar="NAME", help="CAN: which network, by its name or folder.  [default: can-live]")
@click.option(
    "--attenuation-limit",
    "limit_db",
    type=float,
    metavar="DB",
    help="Never attenuate by more than this.  [default: 18; quality 19, asr 3, networks 60]",
)
@click.option("--mix", type=float, metavar="SHARE", help="Enhanced share of the output, 0 to 1.  [default: 1]")
def command(
    *,
    uri: str,
    upstream_uri: str,
    method: str | None,
    preset: str,
    model: str | None,
    limit_db: float | None,
    mix: float | None,
) -> None:
    r"""Denoise a Wyoming microphone service: stand between it and its clients.

    Everything goes both ways as it is, apart from the audio chunks that the microphone sends.

    \b
    Examples:
        rtdenoise wyoming --uri tcp://0.0.0.0:10700 --upstream-uri tcp://127.0.0.1:10600
    """
    from rtdenoise.choice import Choice
    from rtdenoise.integrations.wyoming import Service

    network = Path(model) if model and Path(model).is_dir() else model
    choice = Choice(method=method, preset=preset, model=network, attenuation_limit_db=limit_db, mix=mix)
    service = Service(uri, upstream_uri, choice)
    asyncio.run(service.run(lambda place: click.echo(f"listening on {place}")))
