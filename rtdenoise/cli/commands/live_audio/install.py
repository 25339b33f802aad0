"""``rtdenoise install``: the microphone that starts with the session."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rtdenoise.cli.live.options import device_options
from rtdenoise.cli.options import method_options, take_method_options
from rtdenoise.cli.strict import StrictCommand

if TYPE_CHECKING:
    from rtdenoise.live_audio.service.plan import Plan

_OWN = ("tray", "dry_run", "as_json")
_PATHS = ("config", "model")


@click.command(cls=StrictCommand, short_help="Start a microphone without noise with your session, from now on.")
@click.option(
    "-f", "--input", "source", default="mic", metavar="SOURCE", help="mic or mic:NAME.  [default: mic, the default one]"
)
@method_options
@device_options
@click.option("--tray", is_flag=True, help="Start an icon in the tray with the desktop, too (Linux).")
@click.option("--dry-run", is_flag=True, help="Show what would be written and run; do nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the plan, and what was done, as JSON.")
@click.pass_context
def command(ctx: click.Context, /, source: str, *, tray: bool, dry_run: bool, as_json: bool, **values: Any) -> None:
    r"""Start the virtual microphone with your session, with these settings, from now on.

    On Linux a systemd service of yours (without systemd an autostart entry) and an entry in the menu; on macOS a
    LaunchAgent, on Windows a file in the Startup folder, which play into BlackHole or VB-CABLE.  Run it again to
    change the settings; `rtdenoise uninstall` takes everything back.

    \b
    Examples:
        rtdenoise install
        rtdenoise install --method CAN --preset ultra --input mic:headset
        rtdenoise install --tray
        rtdenoise install --dry-run
    """
    from rtdenoise.cli.live.route import LIVE_PRESET
    from rtdenoise.live_audio.service.systems import plan_install
    from rtdenoise.methods.can.models import open_model

    _check_source(source)
    if tray:
        _check_tray()
    arguments = _arguments(ctx)
    settings = take_method_options(values).settings(LIVE_PRESET)
    if settings.method == "CAN":
        open_model(settings.can.model)  # a missing one is an error now, not at the next login
    plan = plan_install(arguments, tray=tray)
    if sys.platform == "linux" and not dry_run:
        from rtdenoise.live_audio.ends.virtual_microphone import VirtualMicrophone

        VirtualMicrophone()  # says what is missing
    done = follow(plan, dry_run=dry_run, as_json=as_json)
    if done:
        click.echo("installed; `rtdenoise doctor` says whether it runs, `rtdenoise ctl status` what it does")


def follow(plan: Plan, *, dry_run: bool, as_json: bool) -> bool:
    """Show a plan or carry it out; whether it was carried out and told in words."""
    from rtdenoise.live_audio.service.plan import carry_out

    steps: list[str] = []
    if not dry_run:
        carry_out(plan, steps.append if as_json else click.echo)
    if as_json:
        click.echo(json.dumps({"dry_run": dry_run, "plan": plan.as_dict(), "steps": steps}, indent=1))
        return False
    if dry_run:
        _show(plan)
    for note in plan.notes:
        click.echo(f"note: {note}")
    return not dry_run


def _show(plan: Plan) -> None:
    for step in plan.before:
        click.echo(f"would run {' '.join(step.words)}")
    for path, content in plan.write:
        click.echo(f"would write {path}:")
        click.echo("".join(f"    {line}\n" for line in content.splitlines()), nl=False)
    for path in plan.remove:
        click.echo(f"would remove {path}")
    for step in plan.after:
        click.echo(f"would run {' '.join(step.words)}")


def _check_source(source: str) -> None:
    from rtdenoise.live_audio.device_names import is_index, is_live

    if is_index(source):
        raise click.UsageError(f"--input {source}: indices change from start to start; name it: --input mic:NAME")
    if not is_live(source) or not source.lower().startswith("mic"):
        raise click.UsageError(f"--input {source}: is not a microphone; give mic or mic:NAME (`rtdenoise devices`)")


def _check_tray() -> None:
    from importlib.util import find_spec

    from rtdenoise.errors import MissingExtraError

    if sys.platform != "linux":
        raise click.UsageError("--tray is for Linux; here let the system start `rtdenoise tray --wait 60` at login")
    if find_spec("pystray") is None:  # an error now, not at the next login
        raise MissingExtraError("--tray needs the packages pystray and Pillow: pip install 'rtdenoise[tray]'")


def _arguments(ctx: click.Context) -> list[str]:
    """The options on the command line, for `rtdenoise live`; paths absolute."""
    words = []
    for param in ctx.command.params:
        name = param.name or ""
        if name in _OWN or ctx.get_parameter_source(name) is not click.core.ParameterSource.COMMANDLINE:
            continue
        value = ctx.params[name]
        for each in value if param.multiple else (value,):
            given = str(Path(each).absolute()) if name in _PATHS and Path(each).exists() else each
            words.append(f"{max(param.opts, key=len)}={given}")
    return words
