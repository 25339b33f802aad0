"""Model card of an exported network: description, training data, settings and commands."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rtdenoise.methods.can.spec import CanSpec

CARD = "README.md"
_MARK = "<!-- written by rtdenoise export; sha256 of what follows: {digest} -->\n"

_CARD = """# {name}

Context aggregation network: {width} channels, {layers} dilated convolutions over {sees}, {n_weights:,} weights.
{rate} Hz, own delay {delay_ms:g} ms (latency and a hop of {hop_ms:g} ms).

| | |
|---|---|
| heard | {hours:.1f} hours of {heard} |
| steps | {steps} |
| use | `mask_power` {mask_power:g}, `gain_min_db` {gain_min_db:g} |

Data: recordings of {data}; name them and their licences here before you hand the network on.

## Figures

{figures}

    rtdenoise evaluate --speech SPEECH --noise NOISE --snr -5,0,5,10,15 --method CAN:{folder}

## Settings

```yaml
{settings}```

## Commands

    rtdenoise train {config} --data DATA{more}
    rtdenoise export {checkpoint} {config} {folder}{options}
"""
_SEES = {"wave": "samples", "framed": "learnt frames", "spectral": "spectra"}
_HEARD = ("mixtures made on the fly", "noisy and clean recordings, paired as they came")
_UNITS = {"si_sdr_db": "SI-SDR dB", "pesq": "PESQ-wb", "estoi": "eSTOI"}


def write_card(
    folder: Path,
    spec: CanSpec,
    n_weights: int,
    step: int,
    facts: Mapping[str, Any],
    checkpoint: Path,
    config: Path,
    options: Sequence[str] = (),
) -> bool:
    """Write ``README.md`` into a model's folder unless one there was written or edited by hand; returns whether it did.

    Parameters
    ----------
    folder : Path
    spec : CanSpec
    n_weights : int
    step : int
        Training steps that led to the weights.
    facts : mapping
        From the checkpoint: ``audio_seconds``, ``train_seconds`` and, of a run, ``settings``.
    checkpoint, config : Path
        The exported checkpoint, and the configuration that describes it.
    options : sequence of str
        Options of the export.
    """
    import yaml

    if not remove_card(folder):
        return False
    settings = dict(facts.get("settings", {}))
    settings["network"] = spec.name
    text = _CARD.format(
        name=spec.name,
        width=spec.channels_text,
        layers=len(spec.dilations),
        sees=_SEES[spec.domain],
        n_weights=n_weights,
        rate=spec.sample_rate,
        delay_ms=1e3 * (spec.latency_samples + spec.lookahead_samples + spec.hop) / spec.sample_rate,
        hop_ms=1e3 * spec.hop / spec.sample_rate,
        hours=facts["audio_seconds"] / 3600.0,
        heard=_HEARD[bool(settings.get("pairs"))],
        steps=_steps(step, facts),
        mask_power=spec.mask_power,
        gain_min_db=spec.gain_min_db,
        data=_folders(settings),
        more=" --more MORE" * len(settings.get("more", [])),
        figures=_figures(checkpoint.parent / "validation.csv", step),
        settings=yaml.safe_dump(settings, sort_keys=False, default_flow_style=None, width=110),
        config=config,
        checkpoint=checkpoint,
        folder=folder,
        options="".join(f" {option}" for option in options),
    )
    (folder / CARD).write_text(_MARK.format(digest=_digest(text)) + text, encoding="utf-8")
    return True


def _folders(settings: Mapping[str, Any]) -> str:
    names = [f"`{name}`" for name in (settings.get("data", ""), *settings.get("more", [])) if name]
    if not names:
        return "a folder that is not recorded"
    return f"the folder {names[0]}" if len(names) == 1 else f"the folders {', '.join(names)}"


def _steps(step: int, facts: Mapping[str, Any]) -> str:
    """How long the training was; weights to start with, which record no settings, only know their number of steps."""
    if "settings" not in facts:
        return f"{step:,}"
    settings, hours = facts["settings"], facts.get("train_seconds", 0.0) / 3600.0
    return f"{step:,} of {settings['batch_size']} x {settings['crop_seconds']:g} s, {hours:.1f} hours of training"


def remove_card(folder: Path) -> bool:
    """Remove the card of a folder's previous model unless edited by hand; returns whether none is left."""
    card = folder / CARD
    if not card.exists():
        return True
    try:
        mark, _, text = card.read_text(encoding="utf-8").partition("\n")
    except (OSError, UnicodeDecodeError):
        return False
    if f"{mark}\n" != _MARK.format(digest=_digest(text)):
        return False
    card.unlink()
    return True


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _figures(table: Path, step: int) -> str:
    """The run's validation figures nearest to the weights' step, or a note that there are none."""
    try:
        with table.open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if int(float(row["step"])) <= step]
    except (OSError, ValueError, KeyError):
        rows = []
    if not rows:
        return "Not measured yet:"
    found = ", ".join(f"{title} {float(rows[-1][name]):.3g}" for name, title in _UNITS.items() if rows[-1].get(name))
    return f"The run's own validation at step {rows[-1]['step']}: {found}. On other voices and noises:"
