"""Gather speech and noise that really reach above 16 kHz, for `benchmarks.full_band` and training above 8 kHz.

    python -m benchmarks.full_band_material MIRRORS OUT
    python -m benchmarks.full_band_material MIRRORS OUT --only rhasspy --most 100

MIRRORS holds snapshots of the repositories of `SOURCES` (git directories ``owner+name/repo`` or ``owner+name``); a
source that is missing is named and left out.  Recordings are written as FLAC at their own rate, with OUT/manifest.csv:
the columns of other manifests and ``rate_hz``, ``band_hz`` (where the spectrum ends) and ``high_db`` (from 8 to
14 kHz, loud frames over quiet ones: how clean speech is there).  Left out: rates below 44.1 kHz, and what ends below
16 kHz, as MP3 and Vorbis often do.  Speech of tier A has 30 dB or more, B 20.  No speaker and no recording is in both
splits.  Licences are in the column ``licence``; none of it belongs into this repository.
"""

from __future__ import annotations

import argparse
import csv
import fnmatch
import hashlib
import io
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from rtdenoise.typing import F64

RATE_MIN_HZ, BAND_MIN_HZ = 44100, 16000.0
SECONDS_MIN = 0.25
COLUMNS = [
    *("path", "kind", "split", "label", "speaker", "language", "seconds", "tier", "source", "licence"),
    *("rate_hz", "band_hz", "high_db"),
]
_FRAME, _STEP_HZ = 2048, 500.0
_CLIFF_DB = 25.0  # within 1 kHz: steeper than any room or microphone
_NOTHING_DB = -110.0  # mean power per bin re a full-scale sine: below the rounding of 16 bits
_PER_FILE = "CC0 / CC BY per file"
_TIERS = ((30.0, "A"), (20.0, "B"))


@dataclass(frozen=True, slots=True)
class Source:
    """Recordings of one repository.

    `group`: a pattern whose first group names the speaker or recording that stays in one split; `dev`: a share of the
    groups.  `label`: of noise; empty: the group.
    """

    repository: str
    glob: str
    kind: str
    licence: str
    group: str
    dev: float
    label: str = ""
    language: str = ""


SAKSHEE, VOICE = "Sakshee5/alphanumeric-audio-dataset", "rhasspy/dataset-voice-"
SOURCES = (
    Source(SAKSHEE, "audio_data/*/*.wav", "speech", "MIT", r"/(R_\w+)", 0.3, language="en"),
    Source(VOICE + "nathalie", "verified/*.flac", "speech", "CC0-1.0", "-voice-(nathalie)", 1.0, language="nl"),
    Source(VOICE + "kerstin", "verified/*.flac", "speech", "CC0-1.0", "-voice-(kerstin)", 0.0, language="de"),
    Source(VOICE + "kathleen", "data/*.wav", "speech", "CC0-1.0", "-voice-(kathleen)", 0.0, language="en"),
    Source(
        "marc-moreaux/kitchen20", "audio/[0-9]-[DJKLM]*", "noise", "Apache-2.0", r"audio/(.+)\.wav-", 0.25, "kitchen"
    ),
    Source("Muges/ambientsounds", "*.ogg", "noise", _PER_FILE, r"/([\w-]+)\.ogg", 0.35),
    Source("OpenRCT2/OpenSoundEffects", "*.flac", "noise", "CC0-1.0", r"/([\w-]+)\.flac", 0.25, "rides"),
    Source("OpenTTD/OpenSFX", "*.wav", "noise", "CC BY-SA 3.0 or GPL", r"/([\w-]+)\.wav", 0.25, "vehicles"),
    Source("Fris0uman/CDDA-Soundpacks", "*.ogg", "noise", _PER_FILE, r"/([\w-]+?)_?\d*\.ogg", 0.25, "things"),
    Source("rafaelmardojai/blanket", "data/*.ogg", "noise", _PER_FILE, r"/([\w-]+)\.ogg", 0.35),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Gather; exit code 0, or 1 if nothing was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mirrors", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--only", default="", help="sources whose name has this in it")
    parser.add_argument("--most", type=int, default=300, help="recordings of a speaker or label (default %(default)s)")
    options = parser.parse_args(arguments)
    rows = []
    for source in SOURCES:
        if options.only in source.repository:
            rows += gather(source, options.mirrors, options.out, options.most)
    options.out.mkdir(parents=True, exist_ok=True)
    with (options.out / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    return 0 if rows else 1


def gather(source: Source, mirrors: Path, out: Path, most: int) -> list[dict[str, str]]:
    """Rows of one source, whose recordings are written; says what was left out."""
    left_out: dict[str, int] = {}
    counts: dict[str, int] = {}
    rows = []
    for path, content in files_of(source, mirrors):
        name = f"{source.repository}/{path}"
        group = re.search(source.group, name)
        if group is None:
            continue
        label = source.label or group[1]
        counts[label] = counts.get(label, 0) + 1
        if counts[label] > most:
            continue
        try:
            samples, rate = soundfile.read(io.BytesIO(content), dtype="float64", always_2d=True)
        except soundfile.LibsndfileError:
            left_out["unreadable"] = left_out.get("unreadable", 0) + 1
            continue
        reason = unfit(samples.mean(axis=1), rate)
        if reason:
            left_out[reason] = left_out.get(reason, 0) + 1
            continue
        target = Path(source.kind) / re.sub(r"[^\w./-]+", "_", str(Path(name).with_suffix(".flac")))
        (out / target).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(out / target, np.clip(samples, -1.0, 1.0), rate, subtype="PCM_24")
        rows.append(row(source, target, group[1], label, samples.mean(axis=1), rate))
    minutes = sum(float(each["seconds"]) for each in rows) / 60.0
    print(f"{source.repository}: {len(rows)} recordings, {minutes:.1f} min; left out: {left_out or 'none'}", flush=True)
    return rows


def files_of(source: Source, mirrors: Path) -> Iterator[tuple[str, bytes]]:
    """Path and content of the files of a source in its snapshot."""
    base = mirrors / source.repository.replace("/", "+")
    found = next((each for each in (base / "repo" / ".git", base / "repo", base) if (each / "HEAD").exists()), None)
    if found is None:
        print(f"{source.repository}: no snapshot in {mirrors}", file=sys.stderr)
        return
    git = ["git", "-C", str(found)]
    listed = subprocess.run([*git, "ls-tree", "-r", "-z", "--name-only", "HEAD"], capture_output=True, check=True)
    for path in sorted(fnmatch.filter(listed.stdout.decode().split("\0"), source.glob), key=shuffled):
        shown = subprocess.run([*git, "show", f"HEAD:{path}"], capture_output=True, check=False)
        if shown.returncode == 0:  # snapshots lack large files
            yield path, shown.stdout


def shuffled(text: str) -> str:
    """Order that has nothing to do with names, the same everywhere."""
    return hashlib.sha256(text.encode()).hexdigest()


def unfit(mono: F64, rate_hz: int) -> str:
    """Why a recording is left out, or an empty string."""
    if rate_hz < RATE_MIN_HZ:
        return "low rate"
    if mono.size < SECONDS_MIN * rate_hz or not np.any(mono):
        return "too short or silent"
    return "" if band_hz(mono, rate_hz) >= BAND_MIN_HZ else "band ends early"


def row(source: Source, target: Path, group: str, label: str, mono: F64, rate_hz: int) -> dict[str, str]:
    """The line of the manifest."""
    high = high_db(mono, rate_hz)
    speech = source.kind == "speech"
    share = int(shuffled(group)[:8], 16) / 2.0**32
    return {
        "path": target.as_posix(),
        "kind": source.kind,
        "split": "dev" if share < source.dev else "train",
        "label": "" if speech else label,
        "speaker": group if speech else "",
        "language": source.language,
        "seconds": f"{mono.size / rate_hz:.2f}",
        "tier": next((tier for least, tier in _TIERS if high >= least), "C") if speech else "",
        "source": source.repository,
        "licence": source.licence,
        "rate_hz": str(rate_hz),
        "band_hz": f"{band_hz(mono, rate_hz):.0f}",
        "high_db": f"{high:.1f}",
    }


def band_hz(mono: F64, rate_hz: int) -> float:
    """Where the spectrum ends: at a cliff of 25 dB within 1 kHz above 6 kHz, or where nothing is left.

    Judged by the 90th percentile over frames of the level of each 500 Hz, so that what sounds now and then counts.
    """
    power, hz = spectrogram(mono, rate_hz)
    edges = np.arange(0.0, rate_hz / 2, _STEP_HZ)
    bands = [power[:, (hz >= low) & (hz < low + _STEP_HZ)].mean(axis=1) for low in edges]
    level = np.array([10.0 * np.log10(np.percentile(each, 90) + 1e-20) for each in bands])
    for k in np.flatnonzero(edges >= 6000.0):
        if level[k] < _NOTHING_DB or level[k] < level[k - 2] - _CLIFF_DB:
            return float(edges[k])
    return rate_hz / 2


def high_db(mono: F64, rate_hz: int) -> float:
    """Level from 8 to 14 kHz of the loudest twentieth of the frames over that of the quietest fifth."""
    power, hz = spectrogram(mono, rate_hz)
    level = power[:, (hz >= 8000.0) & (hz < 14000.0)].mean(axis=1)
    sounding = level[power.sum(axis=1) > 1e-14]  # digital silence says nothing
    if sounding.size < 2:
        return 0.0
    return float(10.0 * np.log10(np.percentile(sounding, 95) / (np.percentile(sounding, 10) + 1e-20)))


def spectrogram(mono: F64, rate_hz: int) -> tuple[F64, F64]:
    """Power of frames re a full-scale sine, (n_frames, n_bins), and the bins' frequencies."""
    padded = np.pad(mono, (0, max(0, _FRAME - mono.size)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FRAME)[:: _FRAME // 2][:2000]
    window = np.hanning(_FRAME)
    power = np.abs(np.fft.rfft(frames * window, axis=1) / (0.5 * window.sum())) ** 2
    return np.asarray(power), np.fft.rfftfreq(_FRAME, 1.0 / rate_hz)


if __name__ == "__main__":
    sys.exit(main())
