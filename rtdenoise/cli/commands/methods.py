"""``rtdenoise methods``: what there is to choose from."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from rtdenoise.cli.strict import StrictCommand

if TYPE_CHECKING:
    from rtdenoise.config import Settings

METHODS = {
    "SS": "spectral subtraction: over-subtraction by SNR, spectral floor, optionally in bands",
    "WF": "Wiener filter: a priori SNR by decision direction and by context; log-MMSE gain as an option",
    "CAN": "context aggregation network (ML is its older name)",
    "bypass": "the identity: a control for comparisons",
}
_FULL_BAND, _RESAMPLED = "full band at 8 to 192 kHz", "at {} kHz: resampled elsewhere, up to {:g} kHz"
_SEES = {"wave": "samples", "framed": "learnt frames", "spectral": "spectra"}
_RATE_HZ = 16000


@click.command(cls=StrictCommand)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def command(as_json: bool) -> None:
    r"""List methods, presets and networks with their delay, and every parameter.

    \b
    Examples:
        rtdenoise methods
        rtdenoise methods --json
    """
    listing = collect()
    click.echo(json.dumps(listing, indent=2) if as_json else text(listing))


def collect() -> dict[str, Any]:
    """Methods, presets and parameters as plain values; delays in ms at 16 kHz."""
    from rtdenoise.config import load_settings, preset_names
    from rtdenoise.streaming.overlap_add import scaled_framing

    presets = {}
    for name in preset_names():
        settings = load_settings(preset=name)
        times = settings.spectral.framing
        framing = scaled_framing(
            _RATE_HZ, frame_seconds=times.frame_seconds, span_seconds=times.span_seconds, overlap=times.overlap
        )
        presets[name] = {
            "delay_ms": 1e3 * framing.delay_samples / _RATE_HZ,
            "hop_ms": 1e3 * framing.hop / _RATE_HZ,
            "parameters": {**asdict(settings.spectral), **_others(settings)},
        }
    return {"methods": METHODS, "presets": presets, "networks": _networks()}


def _others(settings: Settings) -> dict[str, Any]:
    """What is not the Wiener filter's or spectral subtraction's: channels, rate, network."""
    return {
        "channel_mode": settings.channel_mode,
        "processing_rate_hz": settings.processing_rate_hz,
        "can": asdict(settings.can),
    }


def _networks() -> dict[str, Any]:
    """The shipped networks: delay and hop in ms, channels, bands (0: none), and rates in their usual engine."""
    from rtdenoise.methods.can.models import engine_for, model_names, open_model
    from rtdenoise.rates import RATE_MAX_HZ, RATE_MIN_HZ

    specs = {name: open_model(name).spec for name in model_names()}
    return {
        name: {
            "delay_ms": 1e3 * (spec.latency_samples + spec.lookahead_samples + spec.hop) / spec.sample_rate,
            "hop_ms": 1e3 * spec.hop / spec.sample_rate,
            "sees": _SEES[spec.domain],
            "channels": spec.channels,
            "bands": spec.bands,
            "rates_hz": [RATE_MIN_HZ, RATE_MAX_HZ] if engine_for(spec) == "numba" else [spec.sample_rate] * 2,
        }
        for name, spec in sorted(specs.items(), key=lambda item: -item[1].multiplications_per_second)
    }


def text(listing: dict[str, Any]) -> str:
    """The listing for people: parameters once, with what each preset changes."""
    lines = ["Methods (--method)"]
    lines += [f"  {name:<7} {what}" for name, what in listing["methods"].items()]
    lines += ["", "Presets of SS and WF (--preset)      delay    hop"]
    flat = {name: _flat(preset["parameters"]) for name, preset in listing["presets"].items()}
    for name, preset in listing["presets"].items():
        lines.append(f"  {name:<30} {preset['delay_ms']:7.1f} ms {preset['hop_ms']:4.1f} ms")
    lines += ["", "Networks of CAN (--model)            delay    hop"]
    for name, network in listing["networks"].items():
        times = f"{network['delay_ms']:7.1f} ms {network['hop_ms']:4.1f} ms"
        low, high = network["rates_hz"]
        band = _FULL_BAND if low < high else _RESAMPLED.format(low // 1000, 0.9 * low / 2000)
        width = f"{network['bands']} x {network['channels']}" if network["bands"] else network["channels"]
        lines.append(f"  {name:<30} {times}  {width} channels over {network['sees']}, {band}")
    lines += ["", "Parameters (--set KEY=VALUE, or nested in --config FILE)"]
    keys = list(dict.fromkeys(key for values in flat.values() for key in values))
    for key in keys:
        lines.append(f"  {key:<34} {_values(key, flat)}")
    return "\n".join(lines)


def _values(key: str, flat: dict[str, dict[str, Any]]) -> str:
    values = {name: parameters.get(key) for name, parameters in flat.items()}
    if len({str(value) for value in values.values()}) == 1:
        return str(next(iter(values.values())))
    return ", ".join(f"{value} ({name})" for name, value in values.items())


def _flat(parameters: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in parameters.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat
