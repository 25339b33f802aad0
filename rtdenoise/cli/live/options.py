"""The options of live audio, for the root command and for `rtdenoise live`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])
MAX_CHANNELS = 8
USUAL_PLACE = "usual"
"""Stands for the default path of the control socket."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveOptions:
    """What only live audio has; times in seconds."""

    block: int | None = None
    latency: str | float = "low"
    duration: float | None = None
    live_channels: int = 1
    monitor_only: bool = False
    record: str | None = None
    every: float | None = None
    run_in: str = "auto"
    control: str | None = None
    recordings: str | None = None


LIVE_NAMES = tuple(field.name for field in fields(LiveOptions))
"""Names of the options of live audio."""


class _Latency(click.ParamType[Any]):
    name = "latency"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str | float:
        """Low, safe, or a positive number of seconds."""
        if value in ("low", "safe"):
            return str(value)
        try:
            seconds = float(value)
        except ValueError:
            self.fail(f"{value!r} is neither low nor safe nor a number of seconds", param, ctx)
        if not 0.0 < seconds <= 2.0:
            self.fail(f"{value} s: give more than 0 and at most 2 seconds", param, ctx)
        return seconds


class _Seconds(click.FloatRange):
    """A length of time; "nan" would pass every comparison, and a run until then would not end."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """A finite number within the range."""
        seconds: float = super().convert(value, param, ctx)
        if not math.isfinite(seconds):
            self.fail(f"{value!r} is not a number of seconds", param, ctx)
        return seconds


def device_options(function: F) -> F:
    """Give a command the options that decide how the devices are opened and where the method runs."""
    decorators = (
        click.option(
            "--block",
            type=click.IntRange(0, 16384),
            metavar="N",
            help="Samples per device block; 0 leaves it to the host.  [default: the best the host offers]",
        ),
        click.option(
            "--latency",
            type=_Latency(),
            default="low",
            metavar="low|safe|S",
            help="Latency of the device; safe where low crackles.  [default: low]",
        ),
        click.option(
            "--live-channels",
            type=click.IntRange(1, MAX_CHANNELS),
            default=1,
            metavar="N",
            help="The same as --channels N; mono goes to every speaker.  [default: 1]",
        ),
        click.option(
            "--run-in",
            type=click.Choice(["auto", "callback", "engine"]),
            default="auto",
            metavar="auto|callback|engine",
            help="Compiled methods in the audio callback or in a process of their own; auto measures.  [default: auto]",
        ),
    )
    return decorated(function, decorators)


def live_options(function: F) -> F:
    """Give a command the options of live audio; `take_live_options` collects them."""
    decorators = (
        device_options,
        click.option(
            "--duration",
            type=_Seconds(min=0.0, min_open=True),
            metavar="S",
            help="Stop after this many seconds.  [default: at Ctrl-C, or where a file ends]",
        ),
        click.option("--monitor-only", is_flag=True, help="Listen and measure; play nothing."),
        click.option("--record", metavar="DIR", help="Write noisy and enhanced side by side into this folder."),
        click.option(
            "--recordings",
            metavar="DIR",
            help="Where recordings go that are started while it runs.  [default: that of --record, or recordings]",
        ),
        click.option(
            "--every",
            type=_Seconds(min=0.1),
            metavar="S",
            help="A line, with --json an object, every S seconds.  [default: none]",
        ),
        click.option(
            "--control",
            metavar="[SOCKET]",
            is_flag=False,
            flag_value=USUAL_PLACE,
            help="Live: let `rtdenoise ctl` change the session, over this socket or the usual one.",
        ),
    )
    return decorated(function, decorators)


def decorated(function: F, decorators: Sequence[Callable[[F], F]]) -> F:
    """Apply decorators in the order in which they would stand above the function."""
    for decorate in reversed(decorators):
        function = decorate(function)
    return function


def take_live_options(values: dict[str, Any]) -> LiveOptions:
    """Remove from `values` what `live_options` put there."""
    return LiveOptions(**{name: values.pop(name) for name in LIVE_NAMES})


def refuse_live_options(given: list[str], live: LiveOptions) -> None:
    """Raise if an option on the command line is one of live audio: nothing would come of it.

    Raises
    ------
    click.UsageError
    """
    misplaced = [name for name in given if name in LIVE_NAMES]
    if live.live_channels > 1 and "live_channels" not in given:
        raise click.UsageError(f"--channels {live.live_channels}: a number is for live audio; files have their own")
    if misplaced:
        name = misplaced[0].replace("_", "-")
        raise click.UsageError(f"--{name} is for live audio: give it with --input mic or --output speaker")
