"""``rtdenoise ctl``: change and watch a live session from elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from rtdenoise.cli.strict import StrictGroup


class _Limit(click.ParamType[Any]):
    name = "limit"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | None:
        """A number of dB, or off."""
        if value == "off":
            return None
        try:
            return float(value)
        except ValueError:
            self.fail(f"{value!r} is neither a number of dB nor off", param, ctx)


@click.group(cls=StrictGroup)
@click.option("--control", "path", metavar="SOCKET", type=click.Path(path_type=Path), help="As the session was given.")
@click.option("--json", "as_json", is_flag=True, help="Print what the session answers, as JSON.")
@click.pass_context
def command(ctx: click.Context, path: Path | None, as_json: bool) -> None:
    r"""Control a live session that was started with --control.

    \b
    Examples:
        rtdenoise live --control &
        rtdenoise ctl bypass on
        rtdenoise ctl use --input mic:headset --preset ultra
        rtdenoise ctl --json watch --every 0.1
    """
    ctx.obj = (path, as_json)


def _ask(ctx: click.Context, command_: str, **fields: Any) -> dict[str, Any]:
    from rtdenoise.live_audio.control.client import Control

    path, as_json = ctx.obj
    with Control(path) as control:
        answer = control.ask(command_, **fields)
    if as_json:
        click.echo(json.dumps(answer))
    return answer


_ON_OFF = click.Choice(["on", "off"])


@command.command("status")
@click.pass_context
def status(ctx: click.Context) -> None:
    """Print method, levels, latency and losses."""
    answer = _ask(ctx, "status")
    if not ctx.obj[1]:
        click.echo(_line(answer["status"]))


@command.command("watch")
@click.option("--every", type=click.FloatRange(0.02, 60.0), default=1.0, show_default=True, metavar="S")
@click.pass_context
def watch(ctx: click.Context, every: float) -> None:
    """Print the status every S seconds, and messages as they come, until the session ends."""
    from rtdenoise.live_audio.control.client import Control

    path, as_json = ctx.obj
    with Control(path) as control:
        for event in control.watch(every):
            if as_json:
                click.echo(json.dumps(event))
            else:
                click.echo(event["line"] if event["event"] == "told" else _line(event["status"]))


@command.command("bypass")
@click.argument("on", type=_ON_OFF)
@click.pass_context
def bypass(ctx: click.Context, on: str) -> None:
    """Switch to the unprocessed input, at the same delay, or back to the method."""
    _ask(ctx, "set", bypass=on == "on")


@command.command("method")
@click.argument("name")
@click.pass_context
def method(ctx: click.Context, name: str) -> None:
    """Cross-fade to SS, WF, CAN or bypass."""
    from rtdenoise.config import method_name

    _ask(ctx, "set", method=method_name(name))


@command.command("limit")
@click.argument("limit", type=_Limit(), metavar="DB|off")
@click.pass_context
def limit(ctx: click.Context, limit: float | None) -> None:
    """Never attenuate by more than DB."""
    _ask(ctx, "set", attenuation_limit_db=limit)


@command.command("mix")
@click.argument("share", type=float)
@click.pass_context
def mix(ctx: click.Context, share: float) -> None:
    """Set the enhanced share of the output, 0 to 1."""
    _ask(ctx, "set", mix=share)


@command.command("use")
@click.option("-f", "--input", metavar="DEVICE", help="Another microphone.")
@click.option("-o", "--output", metavar="DEVICE", help="Another speaker.")
@click.option("-a", "--method", metavar="NAME", help="SS, WF, CAN or bypass.")
@click.option("--preset", metavar="NAME", help="See `rtdenoise methods`.")
@click.option("--model", metavar="NAME", help="A network; the method is CAN then.")
@click.pass_context
def use(ctx: click.Context, /, **chosen: str | None) -> None:
    """Reopen the devices with another device, method, preset or network; the rest stays as it is."""
    from rtdenoise.config import method_name

    fields = {name: value for name, value in chosen.items() if value is not None}
    if not fields:
        raise click.UsageError("name what to use: --input, --output, --method, --preset or --model")
    if "method" in fields:
        fields["method"] = method_name(fields["method"])
    _ask(ctx, "use", **fields)


@command.command("record")
@click.argument("on", type=_ON_OFF)
@click.pass_context
def record(ctx: click.Context, on: str) -> None:
    """Start or finish a recording of the noisy and the enhanced signal in the session's folder."""
    answer = _ask(ctx, "record", on=on == "on")
    if answer["failed"]:
        raise click.ClickException(answer["failed"])


@command.command("microphone")
@click.argument("on", type=_ON_OFF)
@click.pass_context
def microphone(ctx: click.Context, on: str) -> None:
    """Make the virtual microphone the default of other programs, or give the former one back."""
    _ask(ctx, "set", default_microphone=on == "on")


@command.command("mark")
@click.argument("text", default="")
@click.pass_context
def mark(ctx: click.Context, text: str) -> None:
    """Mark this moment; status and summary list all marks."""
    answer = _ask(ctx, "mark", text=text)
    if not ctx.obj[1]:
        click.echo(f"marked {answer['mark']['seconds']:.3f} s")


@command.command("devices")
@click.pass_context
def devices(ctx: click.Context) -> None:
    """List the devices that the session can use."""
    answer = _ask(ctx, "devices")
    if not ctx.obj[1]:
        for device in answer["devices"]:
            click.echo(f"{device['index']}  {device['name']}  ({device['host_api']})")


@command.command("schema")
def schema() -> None:
    """Print the JSON Schemas of requests and answers; needs no session."""
    from rtdenoise.live_audio.control.schema import ANSWER, REQUEST

    click.echo(json.dumps({"request": REQUEST, "answer": ANSWER}, indent=1))


@command.command("quit")
@click.pass_context
def quit_(ctx: click.Context) -> None:
    """End the session; its files and recordings are complete afterwards."""
    _ask(ctx, "quit")


def _line(status: dict[str, Any]) -> str:
    heard = "bypass" if status["bypass"] else status["method"]
    total = status["latency_ms"].get("total")
    parts = [
        f"{status['state']}, {heard}, {status['seconds']:.1f} s",
        f"in {status['level_in_dbfs']:.0f} dBFS, out {status['level_out_dbfs']:.0f}",
        f"{total:.1f} ms" if total is not None else "",
        f"late blocks {status['late_blocks']}, lost samples {status['lost_samples']}, xruns {status['xruns']}",
        "recording" if status["recording"] else "",
    ]
    return "; ".join(part for part in parts if part)
