"""Listening page for any browser: the clips with the highest and lowest gain, with spectrograms and players."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from rtdenoise.disk.atomic import write_bytes, write_text
from rtdenoise.evaluate.clips import CLEAN, Clip, render
from rtdenoise.evaluate.compared.systems import NOISY, System
from rtdenoise.evaluate.report import html
from rtdenoise.evaluate.report.drawing import can_draw
from rtdenoise.evaluate.report.pictures import spectrograms
from rtdenoise.evaluate.report.tables import COLUMNS
from rtdenoise.evaluate.scoring import enhance
from rtdenoise.typing import F32

_STYLE = """
article { margin: 2.5rem 0; border-top: 1px solid #8884; }
audio { height: 2rem; width: 16rem; vertical-align: middle; }
"""
_SHOWN = ("pesq_wb", "pesq_nb", "estoi", "si_sdr_db", "dnsmos_ovrl")
_JUDGES = ("pesq_wb", "pesq_nb", "estoi", "si_sdr_db")


def choose_clips(record: Mapping[str, Any], system: str, count: int) -> tuple[list[str], list[str]]:
    """Names of the clips on which `system` gains most and least over the noisy input, `count` each, no duplicates."""
    scores = record["scores"]
    noisy_clips = [clip["name"] for clip in record["clips"] if clip["noise"] != CLEAN]
    for judge in _JUDGES:
        gains = {
            name: scores[name][system][judge] - scores[name][NOISY][judge]
            for name in noisy_clips
            if all(_finite(scores[name].get(who, {}).get(judge)) for who in (system, NOISY))
        }
        if gains:
            order = sorted(gains, key=lambda name: -gains[name])
            best = order[: min(count, (len(order) + 1) // 2)]
            return best, [name for name in reversed(order) if name not in best][:count]
    return [], []


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def write_page(
    folder: Path,
    record: Mapping[str, Any],
    clips: Sequence[Clip],
    systems: Sequence[System],
    *,
    judged: str,
    count: int,
    pictures: Sequence[str] = (),
) -> Path:
    """Write ``index.html`` with its audio and images.

    Parameters
    ----------
    folder : Path
    record
        From `make_record`.
    clips, systems
        Those of the record.
    judged : str
        The system whose gain selects the clips.
    count : int
        Clips at either end.
    pictures
        Names of images in `folder` to show at the top.
    """
    best, worst = choose_clips(record, judged, count)
    by_name = {clip.name: clip for clip in clips}
    (folder / "clips").mkdir(exist_ok=True)
    parts = [_head(record, judged), *map(html.picture, pictures)]
    for title, names in (("Gained most", best), ("Gained least", worst)):
        if names:
            parts.append(f"<h2>{title}</h2>")
        parts += [_article(folder, record, by_name[name], systems, judged) for name in names]
    path = folder / "index.html"
    write_text(path, html.document("rtdenoise evaluation", "\n".join(parts), _STYLE))
    return path


def _head(record: Mapping[str, Any], judged: str) -> str:
    systems = record["systems"]
    shown = [m for m in COLUMNS if any(m in entry["mean"] for entry in systems.values())]
    rows = [
        [name, *(_interval(entry["mean"].get(m), COLUMNS[m][1]) for m in shown), _delay(entry)]
        for name, entry in systems.items()
    ]
    table = html.table(["system", *(COLUMNS[m][0] for m in shown), "delay ms"], rows)
    count = sum(clip["noise"] != CLEAN for clip in record["clips"])
    return (
        f"<h1>Evaluation</h1><p>{count} clips, rtdenoise {escape(record['version'])}, {escape(record['created'])}. "
        f"Means with 95 % intervals. Clips are chosen by what {escape(judged)} gains over the noisy input.</p>{table}"
    )


def _delay(entry: Mapping[str, Any]) -> str:
    if entry["kind"] == "noisy":
        return "-"
    return "file" if entry["latency_ms"] is None else f"{entry['latency_ms']:.0f}"


def _interval(found: Mapping[str, float] | None, digits: int) -> str:
    if found is None or not _finite(found["mean"]):
        return "-"
    return f"{found['mean']:.{digits}f} ± {(found['high'] - found['low']) / 2:.{digits}f}"


def _article(folder: Path, record: Mapping[str, Any], clip: Clip, systems: Sequence[System], judged: str) -> str:
    clean, noisy, rate_hz = render(clip)
    stem = re.sub(r"[^A-Za-z0-9._-]+", "_", clip.name)
    scores = record["scores"][clip.name]
    sounds = {"clean": clean}
    for system in systems:
        if system.name in scores:
            sounds[system.name] = enhance(system, noisy, rate_hz)
    shown = [m for m in _SHOWN if any(m in row for row in scores.values())]
    rows = []
    for name, signal in sounds.items():
        file = f"clips/{stem}--{re.sub(r'[^A-Za-z0-9._-]+', '_', name)}.wav"
        _write_sound(folder / file, signal, rate_hz)
        cells = [_score(scores.get(name, {}).get(m), COLUMNS[m][1]) for m in shown]
        player = f'<audio controls preload="metadata" src="{escape(file)}" aria-label="{escape(name)}"></audio>'
        rows.append([name, *cells, html.Markup(player)])
    image = ""
    if can_draw():
        drawn = {name: sounds[name] for name in (NOISY, judged, "clean") if name in sounds}
        picture = f"clips/{stem}.png"
        spectrograms(drawn, rate_hz, folder / picture)
        image = f'<img src="{escape(picture)}" alt="Spectrograms of {escape(clip.name)}" loading="lazy">'
    snr = "" if clip.snr_db is None else f", {clip.snr_db:g} dB"
    table = html.table(["", *(COLUMNS[m][0] for m in shown), "listen"], rows)
    return (
        f"<article><h3>{escape(clip.name)}</h3><p>{escape(clip.noise)}{snr}, voice {escape(clip.speaker or '-')}</p>"
        f"{image}{table}</article>"
    )


def _score(value: float | None, digits: int) -> str:
    return f"{value:.{digits}f}" if value is not None and math.isfinite(value) else "-"


def _write_sound(path: Path, signal: F32, rate_hz: int) -> None:
    import soundfile

    memory = io.BytesIO()  # libsndfile would not tell of a disk that is full
    soundfile.write(memory, np.clip(signal, -1.0, 1.0), rate_hz, subtype="PCM_16", format="WAV")
    write_bytes(path, memory.getbuffer())
