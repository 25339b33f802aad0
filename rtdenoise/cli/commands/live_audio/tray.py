"""``rtdenoise tray``: an icon that shows and switches a live session."""

from __future__ import annotations

from pathlib import Path

import click

from rtdenoise.cli.options import control_socket
from rtdenoise.cli.strict import StrictCommand


@click.command(cls=StrictCommand)
@click.option(
    "--wait",
    "wait_seconds",
    type=click.FloatRange(min=0.0),
    default=0.0,
    show_default=True,
    metavar="S",
    help="How long to wait for a tray, in seconds: at login it may come later.",
)
@control_socket
def command(*, wait_seconds: float, path: Path | None) -> None:
    r"""Show a live session as an icon in the tray, and switch it there.

    A click switches between the method and the original; the menu has the methods, the panel and the end of the
    session.  The icon stays when a session ends, and finds the next one.

    \b
    Examples:
        rtdenoise tray
        rtdenoise tray --wait 60
        rtdenoise tray --control live.sock
    """
    from rtdenoise.cli.messages import complain
    from rtdenoise.live_audio.control.place import usual_place
    from rtdenoise.tray.icon import run

    run(path or usual_place(), lambda line: complain(line, kind="note"), wait_seconds=wait_seconds)
