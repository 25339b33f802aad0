"""Check whether this machine can do live audio."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import asdict
from typing import TypeVar

import click

from rtdenoise.cli.messages import complain
from rtdenoise.cli.strict import StrictCommand

T = TypeVar("T")
_SIGNS = {"ok": "ok  ", "warning": "warn", "failed": "FAIL"}
_PATIENCE_SECONDS = 4.0  # beyond what a paced run lasts
_AT_WORK = "still checking: the first use of a method compiles it for this machine"


@click.command(cls=StrictCommand, short_help="Check what live audio needs, and run each method in real time.")
@click.option(
    "-a",
    "--method",
    "methods",
    multiple=True,
    metavar="NAME",
    help="Method to run in real time; repeat.  [default: SS, WF and CAN]",
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0.5),
    default=10.0,
    show_default=True,
    metavar="S",
    help="Length of each run.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(*, methods: tuple[str, ...], seconds: float, as_json: bool) -> int:
    r"""Check PortAudio, devices, permissions, priority, clock and compiler, and run each method in real time.

    Every finding comes with its remedy.  Exit code 1 if a check failed, 0 otherwise.

    \b
    Examples:
        rtdenoise doctor
        rtdenoise doctor --method WF --seconds 2 --json
    """
    from rtdenoise.config import method_name
    from rtdenoise.live_audio.doctor import FAILED, examine

    findings = []
    names = tuple(method_name(name) for name in methods or ("SS", "WF", "CAN"))
    for finding in with_waiting_notice(examine(names, seconds), seconds + _PATIENCE_SECONDS):
        findings.append(finding)
        if not as_json:
            remedy = f"  -> {finding.remedy}" if finding.remedy else ""
            click.echo(f"{_SIGNS[finding.state]}  {finding.name}: {finding.found}{remedy}")
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings]))
    return 1 if any(finding.state == FAILED for finding in findings) else 0


def with_waiting_notice(results: Iterator[T], patience_seconds: float) -> Iterator[T]:
    """The same results; a note if one takes longer than this."""
    while True:
        timer = threading.Timer(patience_seconds, complain, [_AT_WORK], {"kind": "note"})
        timer.daemon = True
        timer.start()
        try:
            result = next(results)
        except StopIteration:
            return
        finally:
            timer.cancel()
        yield result
