"""``rtdenoise uninstall``: take back what ``rtdenoise install`` did."""

from __future__ import annotations

import click

from rtdenoise.cli.commands.live_audio.install import follow
from rtdenoise.cli.strict import StrictCommand


@click.command(cls=StrictCommand, short_help="Take back what `rtdenoise install` did.")
@click.option("--dry-run", is_flag=True, help="Show what would be removed and run; do nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the plan, and what was done, as JSON.")
def command(*, dry_run: bool, as_json: bool) -> None:
    r"""End the microphone that `rtdenoise install` started, and remove the files it wrote, no others.

    The program itself goes with `pip uninstall rtdenoise`.

    \b
    Examples:
        rtdenoise uninstall
        rtdenoise uninstall --dry-run --json
    """
    from rtdenoise.live_audio.service.systems import plan_uninstall

    plan = plan_uninstall()
    follow(plan, dry_run=dry_run, as_json=as_json)
    if not (plan.remove or as_json):
        click.echo("nothing to remove: `rtdenoise install` has written nothing here")
