"""What becomes of voices that are easily lost: quiet, whispered, young, beside music, after silence, at the very start.

    python benchmarks/robustness.py --data data/manifest.csv --methods CAN:can-live,WF:balanced --peers rnnoise
    python benchmarks/robustness.py --data speech/ --clips 20 --json robustness.json

Every case is a few seconds of recorded speech, changed as its name says.  *kept*: level of the voice in the output
against that in the input, in dB, over the 32 ms frames within 30 dB of the loudest; of all clips the median and the
lowest.  Beside music or noise the voice in the output is what correlates with the clean one.  *lost*: share of those
frames that are more than 10 dB down.  *burst*: the most by which a frame of the output is louder than the input was, in
dB, with levels under -70 dBFS counted as that.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import signal

from rtdenoise.errors import RtDenoiseError
from rtdenoise.evaluate import mixing
from rtdenoise.evaluate.compared import peers
from rtdenoise.evaluate.compared.systems import System, choose, enhancer
from rtdenoise.evaluate.machine import origin
from rtdenoise.evaluate.report import tables
from rtdenoise.evaluate.signals import SAMPLE_RATE_HZ, read_mono, speech_of_length
from rtdenoise.lab.data.mixtures import lost_samples
from rtdenoise.lab.data.whisper import whispered
from rtdenoise.typing import F32
from rtdenoise.units import amplitude_from_db

SECONDS = 5
LEVEL_DB = -26.0
_FRAME = 512
_LOUD_DB, _LOST_DB, _QUIET_DB = 30.0, 10.0, -70.0
_TINY = 1e-12


@dataclass(frozen=True, slots=True)
class Clip:
    """One case: what the system hears, the voice in it, and the samples that count, from `begin` to before `end`."""

    noisy: F32
    voice: F32
    begin: int = 0
    end: int | None = None


def main() -> int:
    """Run the benchmark; exit code 0, or 1 with one line on stderr."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="manifest.csv, or a folder of speech")
    parser.add_argument("--split", default="dev", help="rows of a manifest to use (default %(default)s)")
    parser.add_argument("--methods", default="CAN:can-live,WF:balanced", help="as in quality.py")
    parser.add_argument("--peers", default="none", help="all, none, or a comma-separated list (default %(default)s)")
    parser.add_argument("--clips", type=int, default=12, help="of each case (default %(default)s)")
    parser.add_argument("--silence-minutes", type=float, default=10.0, help="before a voice (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the record here")
    options = parser.parse_args()
    others = {"all": list(peers.PEERS), "none": []}.get(options.peers, options.peers.split(","))
    try:
        systems, missing = choose([name for name in options.methods.split(",") if name], others)
        found = cases(options)
    except RtDenoiseError as error:
        print(f"robustness: {error}", file=sys.stderr)
        return 1
    for name, reason in missing.items():
        print(f"robustness: peer {name} skipped: {reason}", file=sys.stderr)
    rows = [row for name, clips in found for row in scored(name, list(clips), systems[1:])]
    header = ["case", "system", "clips", "kept dB, median", "kept dB, lowest", "lost %", "burst dB"]
    print(tables.markdown_table(header, [[str(value) for value in row.values()] for row in rows]))
    if options.json:
        record = {"schema": "rtdenoise.robustness/1", **origin(), "seed": options.seed, "rows": rows}
        options.json.write_text(json.dumps(record, indent=1) + "\n")
    return 0


def cases(options: argparse.Namespace) -> list[tuple[str, Iterator[Clip]]]:
    """Names and clips; made when they are asked for, because of the long silence."""
    rng = np.random.default_rng(options.seed)
    groups = voices(options.data, options.split)
    every = [path for paths in groups.values() for path in paths]

    def draw(paths: list[str], n: int) -> list[F32]:
        chosen = rng.choice(paths, n, replace=len(paths) < n)
        return [_at_level(speech_of_length([_read(path)], SECONDS * SAMPLE_RATE_HZ, rng), LEVEL_DB) for path in chosen]

    def of(change: Callable[[F32, np.random.Generator], Clip], n: int = options.clips) -> Iterator[Clip]:
        voices_ = draw(every, n)
        return (change(voice, rng) for voice in voices_)

    found = [(f"voices: {name}", (Clip(v, v) for v in draw(paths, options.clips))) for name, paths in groups.items()]
    silence = int(options.silence_minutes * 60 * SAMPLE_RATE_HZ)
    return [
        *found,
        ("quiet, -50 dBFS", of(lambda v, _: _alone(_at_level(v, -50.0)))),
        ("very quiet, -65 dBFS", of(lambda v, _: _alone(_at_level(v, -65.0)))),
        ("whispered (computed)", of(lambda v, r: _alone(_at_level(whispered(v, r), LEVEL_DB - 10.0)))),
        ("microphone to 4 kHz", of(lambda v, _: _alone(_low(v, 3800.0)))),
        ("first 100 ms of a session", of(lambda v, _: first_moments(v))),
        (f"after {options.silence_minutes:g} minutes of silence", of(lambda v, r: after_silence(v, silence, r), 2)),
        ("40 dB softer in the middle", of(lambda v, _: stepped(v, -40.0))),
        ("40 dB louder in the middle", of(lambda v, _: stepped(amplitude_from_db(-30.0) * v, 40.0))),
        ("music behind, 10 dB", of(lambda v, r: beside(v, music(v.size, r), 10.0))),
        ("noise from the middle on, 5 dB", of(lambda v, r: beside(v, onset(v.size, r), 5.0))),
        ("one packet in ten lost", of(lambda v, r: _alone(v * ~lost_samples(r, v.size, 0.1)))),
    ]


def voices(data: Path, split: str) -> dict[str, list[str]]:
    """Paths by kind of voice, as far as a manifest tells: children, languages; else all in one."""
    plain = {source.path for source in mixing.find_sources(data, "speech", split, ("A", "B") if data.is_file() else ())}
    if not data.is_file():
        return {"all": sorted(plain)}
    groups: dict[str, list[str]] = {}
    with data.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            path = str(data.parent / row["path"])
            if path in plain:
                groups.setdefault(_kind_of_voice(row), []).append(path)
    return dict(sorted(groups.items()))


def _kind_of_voice(row: dict[str, str]) -> str:
    age = "".join(c for c in row.get("label", "") if c.isdigit())
    if age and row["label"].startswith("age") and int(age) < 13:
        return "children under 13"
    return row.get("language") or "adults"


def _read(path: str) -> F32:
    return read_mono(Path(path))


def _at_level(voice: F32, level_db: float) -> F32:
    loud = _powers(voice)
    level = np.sqrt(loud[_spoken(loud)].mean())
    return np.clip(voice * (amplitude_from_db(level_db) / (level + _TINY)), -1.0, 1.0).astype(np.float32)


def _alone(voice: F32) -> Clip:
    return Clip(voice, voice)


def _low(voice: F32, edge_hz: float) -> F32:
    sections = signal.butter(10, edge_hz, fs=SAMPLE_RATE_HZ, output="sos")
    return np.asarray(signal.sosfilt(sections, voice), np.float32)


def first_moments(voice: F32) -> Clip:
    """A session that begins in the middle of a word: from the loudest 100 ms on, of which only these count."""
    n = SAMPLE_RATE_HZ // 10
    power = np.convolve(np.square(voice, dtype=np.float64), np.ones(n), "valid")
    begun = voice[int(np.argmax(power[: voice.size // 2])) :]
    return Clip(begun, begun, 0, n)


def after_silence(voice: F32, silence: int, rng: np.random.Generator) -> Clip:
    """The last second of silence is the converter's own noise at -90 dBFS, as is that under the voice."""
    hiss = rng.standard_normal(silence + voice.size, dtype=np.float32) * np.float32(amplitude_from_db(-90.0))
    hiss[: max(silence - SAMPLE_RATE_HZ, 0)] = 0.0
    late = np.concatenate([np.zeros(silence, np.float32), voice])
    return Clip(late + hiss, late, silence)


def stepped(voice: F32, step_db: float) -> Clip:
    """Another level from the middle on; what comes after it counts."""
    changed = voice.copy()
    changed[voice.size // 2 :] *= np.float32(amplitude_from_db(step_db))
    return Clip(changed, changed, voice.size // 2)


def music(n: int, rng: np.random.Generator) -> F32:
    """Three-part chords of plucked tones, two a second."""
    t = np.arange(SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    out = np.zeros(n + SAMPLE_RATE_HZ)
    for start in range(0, n, SAMPLE_RATE_HZ // 2):
        root = 110.0 * 2.0 ** (rng.integers(0, 12) / 12.0)
        for interval in (0, rng.choice([3, 4]), 7, 12):
            pitch = root * 2.0 ** (interval / 12.0)
            tone = sum(np.sin(2 * np.pi * k * pitch * t) / k**1.5 for k in range(1, 9))
            out[start : start + SAMPLE_RATE_HZ] += tone * np.exp(-4.0 * t)
    return out[:n].astype(np.float32)


def onset(n: int, rng: np.random.Generator) -> F32:
    """Nothing, then pink noise from one sample to the next."""
    spectrum = np.fft.rfft(rng.standard_normal(n)) / np.sqrt(np.maximum(np.arange(n // 2 + 1), 20))
    noise = np.fft.irfft(spectrum, n)
    noise[: n // 2] = 0.0
    return noise.astype(np.float32)


def beside(voice: F32, other: F32, snr_db: float) -> Clip:
    """Voice and something else; the part where there is something else counts."""
    sounding = np.flatnonzero(other)
    loud = _powers(voice)
    power = float(loud[_spoken(loud)].mean())
    level = np.sqrt(power / (np.mean(np.square(other[sounding], dtype=np.float64)) * 10.0 ** (snr_db / 10.0)))
    mixed = voice + other * np.float32(level)
    scale = np.float32(min(1.0, 0.99 / np.abs(mixed).max()))
    return Clip(mixed * scale, voice * scale, int(sounding[0]))


def scored(name: str, clips: list[Clip], systems: list[System]) -> Iterator[dict[str, Any]]:
    """A row for each system."""
    for system in systems:
        run = enhancer(system, SAMPLE_RATE_HZ)
        figures = np.array([score(clip, run(clip.noisy)) for clip in clips])
        kept, lost, burst = figures.T
        yield {
            "case": name,
            "system": system.name,
            "clips": len(clips),
            "kept_db_median": round(float(np.median(kept)), 2),
            "kept_db_lowest": round(float(kept.min()), 2),
            "lost_percent": round(100.0 * float(lost.mean()), 1),
            "burst_db": round(float(burst.max()), 1),
        }


def score(clip: Clip, enhanced: F32) -> tuple[float, float, float]:
    """Voice kept in dB, share of its frames lost, loudest burst in dB."""
    voice, noisy, out = (s[clip.begin : clip.end].astype(np.float64) for s in (clip.voice, clip.noisy, enhanced))
    before, mixed, after = _powers(voice), _powers(noisy), _powers(out)
    spoken = _spoken(before)
    alone = np.array_equal(clip.voice, clip.noisy)
    if alone:
        kept = after[spoken].sum() / before[spoken].sum()
    else:
        kept = (max(float(np.dot(out, voice)), _TINY) / np.dot(voice, voice)) ** 2
    lost = np.mean(after[spoken] < 10.0 ** (-_LOST_DB / 10.0) * before[spoken])
    heard = np.maximum(mixed, 10.0 ** (_QUIET_DB / 10.0))
    burst = np.max(np.maximum(after, 10.0 ** (_QUIET_DB / 10.0)) / heard)
    return 10.0 * np.log10(kept + _TINY), float(lost), 10.0 * np.log10(burst)


def _powers(samples: np.ndarray) -> np.ndarray:
    """Mean power of frames of 32 ms, half overlapped."""
    padded = np.concatenate([samples, np.zeros(max(0, _FRAME - samples.size))]).astype(np.float64)
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FRAME)[:: _FRAME // 2]
    return np.asarray(np.mean(frames**2, axis=1))


def _spoken(power: np.ndarray) -> np.ndarray:
    return np.asarray(power > 10.0 ** (-_LOUD_DB / 10.0) * power.max())


if __name__ == "__main__":
    sys.exit(main())
