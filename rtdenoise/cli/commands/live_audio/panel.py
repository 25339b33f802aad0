"""``rtdenoise panel``: the control panel of live sessions, a web page."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import click

from rtdenoise.cli.options import control_socket
from rtdenoise.cli.strict import StrictCommand


@click.command(cls=StrictCommand)
@click.option("--port", type=click.IntRange(0, 65535), default=0, metavar="N", help="0: any.  [default: any]")
@click.option("--no-browser", is_flag=True, help="Print the address, and open nothing.")
@click.option("--start", is_flag=True, help="Start a session at once, with the last settings, if none runs.")
@click.option(
    "--recordings",
    type=click.Path(file_okay=False, path_type=Path),
    default="recordings",
    show_default=True,
    metavar="DIR",
    help="Where the recordings of sessions go that are started here.",
)
@control_socket
def command(*, port: int, no_browser: bool, start: bool, recordings: Path, path: Path | None) -> None:
    r"""Show and control a live session in a web page that only you can open.

    It joins the session that runs, or starts one.  Ctrl-C ends the panel, and with it a session that it started, unless
    the page says that it goes on.

    \b
    Examples:
        rtdenoise panel
        rtdenoise panel --start --no-browser --port 8030
        rtdenoise panel --recordings takes
    """
    from rtdenoise.live_audio.control.place import usual_place
    from rtdenoise.panel.running import run

    def say(address: str) -> None:
        click.echo(f"the panel is at {address}")

    with suppress(KeyboardInterrupt):
        asyncio.run(
            run(path or usual_place(), recordings, say, port=port, opens=not no_browser, starts=start),
        )
