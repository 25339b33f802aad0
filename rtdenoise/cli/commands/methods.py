"""``rtdenoise methods``: what there is to choose from."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from rtdenoise.cli.strict import StrictCommand

if TYPE_CHECKING:
    from rtdenoise.config import Settings
    from rtdenoise.methods.can.spec import CanSpec
    from rtdenoise.streaming.overlap_add import Framing

METHODS = {
    "SS": "spectral subtraction: over-subtraction by SNR, spectral floor, optionally in bands",
    "WF": "Wiener filter: a priori SNR by decision direction and context; log-MMSE gain as an option",
    "CAN": "context aggregation network (ML is its older name)",
    "bypass": "the identity: a control for comparisons",
}
_SEES = {"wave": "samples", "framed": "learnt frames", "spectral": "spectra"}
_RATE_HZ, _DEVICE_RATE_HZ = 16000, 48000  # of the figures; the second is what most sound cards run at
_AT_DEVICE_RATE = "at_48_khz"


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
    """Methods, presets and parameters as plain values; delays in ms at 16 kHz and, in a mapping of their own, at 48."""
    from rtdenoise.config import load_settings, preset_names
    from rtdenoise.streaming.overlap_add import scaled_framing

    presets = {}
    for name in preset_names():
        settings = load_settings(preset=name)
        times = settings.spectral.framing
        here, there = (
            scaled_framing(
                rate_hz, frame_seconds=times.frame_seconds, span_seconds=times.span_seconds, overlap=times.overlap
            )
            for rate_hz in (_RATE_HZ, _DEVICE_RATE_HZ)
        )
        presets[name] = {
            **_times(here),
            _AT_DEVICE_RATE: {**_times(there), "band_hz": _DEVICE_RATE_HZ / 2},
            "parameters": {**asdict(settings.spectral), **_others(settings)},
        }
    return {"methods": METHODS, "presets": presets, "networks": _networks()}


def _times(framing: Framing) -> dict[str, float]:
    rate_hz = framing.sample_rate
    return {"delay_ms": 1e3 * framing.delay_samples / rate_hz, "hop_ms": 1e3 * framing.hop / rate_hz}


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
            _AT_DEVICE_RATE: _network_at_device_rate(spec),
            "sees": _SEES[spec.domain],
            "channels": spec.channels,
            "bands": spec.bands,
            "beside": None if spec.beside is None else asdict(spec.beside),
            "channels_text": spec.channels_text,
            "rates_hz": [RATE_MIN_HZ, RATE_MAX_HZ] if engine_for(spec) == "numba" else [spec.sample_rate] * 2,
        }
        for name, spec in sorted(specs.items(), key=lambda item: -item[1].multiplications_per_second)
    }


def _network_at_device_rate(spec: CanSpec) -> dict[str, float]:
    """Delay and hop in ms, and the highest frequency that comes out, in its usual engine."""
    from rtdenoise.methods.can.compiled.grid import framing_at
    from rtdenoise.methods.can.models import engine_for
    from rtdenoise.rates import passed_hz
    from rtdenoise.streaming.resampler import filter_delay_seconds

    if engine_for(spec) == "numba":
        return {**_times(framing_at(spec, _DEVICE_RATE_HZ, spec.span)), "band_hz": _DEVICE_RATE_HZ / 2}
    samples = spec.latency_samples + spec.lookahead_samples + spec.hop
    rates = (_DEVICE_RATE_HZ, spec.sample_rate)
    resampled = filter_delay_seconds(*rates) + filter_delay_seconds(*reversed(rates))
    return {
        "delay_ms": 1e3 * (samples / spec.sample_rate + resampled),
        "hop_ms": 1e3 * spec.hop / spec.sample_rate,
        "band_hz": passed_hz(*rates),
    }


def text(listing: dict[str, Any]) -> str:
    """The listing for people: parameters once, with what each preset changes."""
    lines = ["Methods (--method)"]
    lines += [f"  {name:<7} {what}" for name, what in listing["methods"].items()]
    flat = {name: _flat(preset["parameters"]) for name, preset in listing["presets"].items()}
    lines += ["", f"{'':<37}at 16 kHz       at 48 kHz"]
    lines += ["Presets of SS and WF (--preset)   delay     hop    delay     band"]
    lines += [_line(name, preset) for name, preset in listing["presets"].items()]
    lines += ["", "Networks of CAN (--model)"]
    for name, network in listing["networks"].items():
        lines.append(f"{_line(name, network)}  {network['channels_text']} channels, {network['sees']}")
    lines += _bands(listing["networks"])
    lines += ["", "Parameters (--set KEY=VALUE, or nested in --config FILE)"]
    keys = list(dict.fromkeys(key for values in flat.values() for key in values))
    for key in keys:
        lines.append(f"  {key:<31} {_values(key, flat)}")
    return "\n".join(lines)


def _line(name: str, entry: dict[str, Any]) -> str:
    there = entry[_AT_DEVICE_RATE]
    here = f"{entry['delay_ms']:5.1f} ms {entry['hop_ms']:4.1f} ms"
    return f"  {name:<29} {here} {there['delay_ms']:5.1f} ms {there['band_hz'] / 1000:4g} kHz"


def _bands(networks: dict[str, Any]) -> list[str]:
    """At which rates all this runs, and up to which frequency."""
    low, high = next(each["rates_hz"] for each in networks.values() if each["sees"] == "spectra")
    any_rate = f"SS, WF and networks over spectra run at {low // 1000} to {high // 1000} kHz, up to half the rate."
    fixed = sorted({each["rates_hz"][0] // 1000 for each in networks.values() if len(set(each["rates_hz"])) == 1})
    rates = " or ".join(map(str, fixed))
    others = f"The others run at {rates} kHz: sound at other rates is resampled to that and back."
    return ["", any_rate, *([others] if fixed else [])]


def _values(key: str, flat: dict[str, dict[str, Any]]) -> str:
    names: dict[str, list[str]] = {}
    for name, parameters in flat.items():
        names.setdefault(str(parameters.get(key)), []).append(name)
    if len(names) == 1:
        return next(iter(names))
    return ", ".join(f"{value} ({', '.join(those)})" for value, those in names.items())


def _flat(parameters: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in parameters.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat
