"""Options shared by several commands, and their conversion to settings."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from rtdenoise.cli.live.options import MAX_CHANNELS, LiveOptions, decorated

if TYPE_CHECKING:
    from rtdenoise.config import Settings

F = TypeVar("F", bound=Callable[..., Any])

_CHANNEL_MODES = ("linked", "each", "downmix")
_NETWORK = ("model", "engine", "device")


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodOptions:
    """Which method with which parameters, as given on the command line."""

    method: str | None
    preset: str | None
    config: str | None
    overrides: Mapping[str, Any]

    def settings(self, default_preset: str) -> Settings:
        """The settings that were chosen.

        Raises
        ------
        ConfigError
            As `rtdenoise.config.load_settings`.
        """
        from rtdenoise.config import load_settings

        return load_settings(
            method=self.method,
            preset=self.preset,
            config=self.config,
            overrides=self.overrides,
            default_preset=default_preset,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """One run: where from, where to, with what; `rtdenoise live` leaves out what files and pipes need."""

    source: str
    target: str | None
    method: MethodOptions
    live: LiveOptions = field(default_factory=LiveOptions)
    overwrite: bool = False
    plot: bool = False
    as_json: bool = False
    rate: int | None = None
    form: str | None = None
    pipe_channels: int = 1
    aligned: bool = True
    jobs: int | None = None
    quiet: bool = False
    verbosity: int = 0


class _Channels(click.ParamType[Any]):
    name = "channels"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str | int:
        """A way, or for live audio a number."""
        if value in _CHANNEL_MODES:
            return str(value)
        live = ctx is not None and any(other.name == "live_channels" for other in ctx.command.params)
        if live and str(value).isdigit() and 1 <= int(value) <= MAX_CHANNELS:
            return int(value)
        number = f", or a number from 1 to {MAX_CHANNELS}" if live else ""
        self.fail(f"{value!r} is not one of {', '.join(_CHANNEL_MODES)}{number}", param, ctx)


class _Decibels(click.FloatRange):
    """Decibels within a range; NaN, which passes every comparison, is outside."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """A number within the range."""
        decibels: float = super().convert(value, param, ctx)
        if math.isnan(decibels):
            self.fail(f"{value!r} is not a number of dB", param, ctx)
        return decibels


control_socket = click.option(
    "--control",
    "path",
    metavar="SOCKET",
    type=click.Path(path_type=Path),
    help="The control socket.  [default: the usual one of `rtdenoise live --control`]",
)
"""``--control`` of clients of a live session."""


def method_options(function: F) -> F:
    """Give a command the options that choose a method; they arrive as ``method``, ``preset`` and so on."""
    decorators = (
        click.option("-a", "--method", metavar="NAME", help="SS, WF, CAN (also ML) or bypass.  [default: WF]"),
        click.option(
            "--preset",
            metavar="NAME",
            help="See `rtdenoise methods`.  [default: quality for files, low live and in pipes, balanced in demo]",
        ),
        click.option("--config", metavar="FILE", help="YAML with any parameters; stronger than the preset."),
        click.option(
            "--set", "sets", multiple=True, metavar="KEY=VALUE", help="One parameter, e.g. noise.tracker=minimum."
        ),
        click.option(
            "--channels",
            type=_Channels(),
            metavar="HOW|N",
            help="linked (one gain for all), each or downmix; live, also how many.  [default: linked]",
        ),
        click.option(
            "--model",
            metavar="NAME",
            help="CAN: which network, by its name or folder.  [default: can-live; ultra can-ultra]",
        ),
        click.option(
            "--engine",
            type=click.Choice(["auto", "numba", "litert", "tf"]),
            help="CAN: inference engine.  auto takes the fastest; tf needs rtdenoise[tf].  [default: auto]",
        ),
        click.option(
            "--device", type=click.Choice(["cpu", "gpu", "auto"]), help="CAN: where --engine tf runs.  [default: cpu]"
        ),
        click.option(
            "--attenuation-limit",
            type=_Decibels(0.0, 100.0),
            metavar="DB",
            help="Never attenuate by more than this.  [default: 18; quality 19, asr 3, networks 60]",
        ),
        click.option("--mix", type=float, metavar="SHARE", help="Enhanced share of the output, 0 to 1.  [default: 1]"),
    )
    return decorated(function, decorators)


def take_method_options(values: dict[str, Any]) -> MethodOptions:
    """Remove from `values` what `method_options` put there."""
    overrides = parse_sets(values.pop("sets"))
    if isinstance(values["channels"], int):
        if values["live_channels"] not in (1, values["channels"]):
            raise click.UsageError(
                f"--channels {values['channels']} and --live-channels {values['live_channels']} mean the same; give one"
            )
        values["live_channels"], values["channels"] = values["channels"], None
    named = {"channels": "channel_mode", "attenuation_limit": "attenuation_limit_db", "mix": "mix"}
    for option, key in named.items():
        value = values.pop(option)
        if value is not None:
            overrides[key] = value
    method, config = values.pop("method"), values.pop("config")
    network = {name: value for name in _NETWORK if (value := values.pop(name)) is not None}
    if network:
        if method is not None and method.upper() not in ("CAN", "ML"):
            raise click.UsageError(f"--{next(iter(network))} is for networks: --method CAN, not {method}")
        method = method or (None if config else "CAN")
        overrides["can"] = {**overrides.get("can", {}), **network}
    _refuse_network_as_preset(values["preset"])
    return MethodOptions(method=method, preset=values.pop("preset"), config=config, overrides=overrides)


def _refuse_network_as_preset(preset: str | None) -> None:
    if preset is None:
        return
    from rtdenoise.config import preset_names

    if preset in preset_names():
        return
    from rtdenoise.methods.can.models import model_names

    if preset in model_names():
        raise click.UsageError(f"--preset {preset}: is a network, not a preset: --model {preset}")


def parse_sets(sets: Sequence[str]) -> dict[str, Any]:
    """`rtdenoise.config.parse_assignments` of the ``--set`` options.

    Raises
    ------
    click.UsageError
        If one is not KEY=VALUE.
    """
    from rtdenoise.config import parse_assignments
    from rtdenoise.errors import ConfigError

    keys = [text.partition("=")[0].strip() for text in sets]
    if twice := next((key for key in keys if keys.count(key) > 1), ""):
        raise click.UsageError(f"--set {twice} is given twice; give it once")
    try:
        return parse_assignments(sets)
    except ConfigError as error:
        raise click.UsageError(f"--set {error}") from error
