r"""What becomes of recordings that need no denoiser: words after pauses, high SNR, held vowels, clean speech.

    python benchmarks/harm.py --data data/manifest.csv
    python benchmarks/harm.py --data data/manifest.csv --methods WF:quality,CAN:can-live --cases onset,held

*onset N dB*: recorded words, each after 0.7 s of nothing but noise, N dB below the voice.  Figure: level of the output
against the clean word over its first 50 ms, of all words the median and the tenth percentile; words that begin more
quietly than the noise are left out.  *SNR N dB*: mean SI-SDR of the output against the clean voice (N is that of the
input).  *held vowel*: computed vowels of 5 s with vibrato, in white noise; of each vowel the second that has changed
most, against the vowel alone; of all vowels the median and the lowest.  *clean*: several voices as they were recorded:
mean PESQ-wb, eSTOI and SI-SDR of the output.  Noise is white in every second clip and recorded in the others.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.material import add_material, check_cases, check_material
from rtdenoise.errors import RtDenoiseError, SignalError
from rtdenoise.evaluate import mixing
from rtdenoise.evaluate.compared import peers
from rtdenoise.evaluate.compared.systems import System, choose, enhancer
from rtdenoise.evaluate.machine import origin
from rtdenoise.evaluate.measures import metrics
from rtdenoise.evaluate.report import tables
from rtdenoise.evaluate.signals import (
    SAMPLE_RATE_HZ,
    active_speech_level_db,
    noise_of_length,
    read_mono,
    speech_of_length,
)
from rtdenoise.typing import F32, F64
from rtdenoise.units import amplitude_from_db

CASES = ("onset", "snr", "held", "clean")
ONSET_SNRS_DB = (24.0, 34.0, 54.0)
SNRS_DB = (20.0, 30.0, 40.0)
LEAST_OUT_DB = {30.0: 29.0, 40.0: 36.0}
ONSET_MEDIAN_DB, ONSET_TENTH_DB, HELD_DB = -1.0, -4.0, 3.0
OFFICE_LABELS = "room_tone,airplane,rain,washing_machine,engine,vacuum_cleaner"
METHODS = (
    *(f"{method}:{preset}" for method in ("WF", "SS") for preset in ("quality", "balanced", "low", "ultra")),
    *(f"CAN:{model}" for model in ("can-live", "can-small", "can-ultra", "can-wave")),
)
VOWELS = (
    # pitch in hertz, vibrato as a share of it, formants in hertz (none: harmonics that fall as 1/k)
    (220.0, 0.01, ()),
    (110.0, 0.005, (730, 1090, 2440)),
    (110.0, 0.01, (270, 2290, 3010)),
    (150.0, 0.02, (570, 840, 2410)),
    (200.0, 0.005, (850, 1220, 2810)),
    (220.0, 0.01, (310, 2790, 3310)),
    (300.0, 0.02, (610, 2330, 2990)),
    (440.0, 0.03, (850, 1220, 2810)),
)
"""Case by case: the report's own one, then /a i o/ of a man, /a i e a/ of women and children."""

PAUSE_SECONDS, ONSET_SECONDS, WORDS_OF_A_CLIP = 0.7, 0.05, 8
HELD_SECONDS, HELD_FROM_SECONDS = 5, 2
_LEVEL_DB, _TINY = -26.0, 1e-12


@dataclass(frozen=True, slots=True)
class Clip:
    """What the system hears, the voice in it, and where each word begins."""

    noisy: F32
    clean: F32
    starts: tuple[int, ...] = ()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; exit code 0, or 1 with one line on stderr."""
    options = parse(arguments)
    others = {"all": list(peers.PEERS), "none": []}.get(options.peers, options.peers.split(","))
    try:
        systems, missing = choose([name for name in options.methods.split(",") if name], others)
        rows = run(options, systems[1:])
    except RtDenoiseError as error:
        print(f"harm: {error}", file=sys.stderr)
        return 1
    for name, reason in missing.items():
        print(f"harm: peer {name} skipped: {reason}", file=sys.stderr)
    print(report(rows))
    if options.json:
        record = {"schema": "rtdenoise.harm/1", **origin(), "seed": options.seed, "split": options.split, "rows": rows}
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 0


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_material(parser, tiers="A", labels="steady ones of a manifest")
    parser.add_argument("--methods", default=",".join(METHODS), help="METHOD:PRESET or CAN:MODEL (default: all)")
    parser.add_argument("--peers", default="none", help="all, none, or a comma-separated list (default %(default)s)")
    parser.add_argument("--cases", default=",".join(CASES), help="which cases (default %(default)s)")
    parser.add_argument("--clips", type=int, default=10, help="of each case (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, default=None, metavar="OUT", help="write the record here")
    options = parser.parse_args(arguments)
    check_material(parser, options)
    check_cases(parser, options, CASES)
    if options.clips < 1:
        parser.error(f"--clips {options.clips} must be 1 or more")
    return options


def run(options: argparse.Namespace, systems: Sequence[System]) -> list[dict[str, Any]]:
    """A row for each case and system, case after case."""
    rows: list[dict[str, Any]] = []
    if {"onset", "snr", "clean"} & set(options.cases):
        material = Material(options)
    for case in CASES:
        if case not in options.cases:
            continue
        if case == "onset":
            sets = {f"onset {snr_db:g} dB": list(material.words(snr_db)) for snr_db in ONSET_SNRS_DB}
            rows += [onset_row(name, clips, system) for name, clips in sets.items() for system in systems]
        elif case == "snr":
            for snr_db in SNRS_DB:
                clips = list(material.mixtures(snr_db))
                rows += [snr_row(snr_db, clips, system) for system in systems]
        elif case == "held":
            clips = [held_vowel(n, options.seed) for n in range(len(VOWELS))]
            rows += [held_row(clips, system) for system in systems]
        else:
            clips = [Clip(clean, clean) for clean in material.voices()]
            rows += [clean_row(clips, system) for system in systems]
    return rows


class Material:
    """Recorded voices, one speaker a clip, and noise to add: white and recorded by turns."""

    def __init__(self, options: argparse.Namespace) -> None:
        tiers = tuple(filter(None, options.tiers.split(",")))
        found = mixing.find_material(
            options.speech, options.noise, split=options.split, tiers=tiers, labels=options.labels, usual=OFFICE_LABELS
        )
        self.clips, self.seed = options.clips, options.seed
        self.noises = [s for s in found.noise if not found.labels or s.label in found.labels]
        if not self.noises:
            known = ", ".join(sorted({s.label for s in found.noise}))
            raise SignalError(f"--labels {','.join(found.labels)}: no such noise; there is {known}")
        rng = np.random.default_rng(self.seed)
        by_speaker: dict[str, list[str]] = {}
        for source in found.speech:
            by_speaker.setdefault(source.label, []).append(source.path)
        speakers = [str(name) for name in rng.permutation(sorted(by_speaker))]
        self.speakers = [by_speaker[speakers[i % len(speakers)]] for i in range(self.clips)]

    def _rng(self, clip: int, salt: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, clip, salt))

    def voices(self) -> Iterator[F32]:
        """Five seconds of each speaker at -26 dBFS."""
        for i, paths in enumerate(self.speakers):
            rng = self._rng(i, 0)
            chosen = [read_mono(Path(p)) for p in rng.permutation(paths)[:4]]
            voice = speech_of_length(chosen, 5 * SAMPLE_RATE_HZ, rng)
            yield at_level(voice).astype(np.float32)

    def mixtures(self, snr_db: float) -> Iterator[Clip]:
        """The same voices with noise."""
        for i, voice in enumerate(self.voices()):
            yield mixed(voice.astype(float), self._noise(i, voice.size), snr_db)

    def words(self, snr_db: float) -> Iterator[Clip]:
        """Words of one speaker, pauses between them, noise everywhere."""
        for i, paths in enumerate(self.speakers):
            rng = self._rng(i, 1)
            found: list[F64] = []
            for path in rng.permutation(paths):
                found += cut_words(read_mono(Path(path)))
                if len(found) >= WORDS_OF_A_CLIP:
                    break
            if not found:
                raise SignalError(f"no word with a pause before it in {paths[0]} and {len(paths) - 1} more recordings")
            spoken, starts = with_pauses(found[:WORDS_OF_A_CLIP])
            clip = mixed(spoken, self._noise(i, spoken.size), snr_db)
            floor = power(clip.noisy - clip.clean)
            n = round(ONSET_SECONDS * SAMPLE_RATE_HZ)
            yield replace(clip, starts=tuple(s for s in starts if power(clip.clean[s : s + n]) > floor))

    def _noise(self, clip: int, length: int) -> F64:
        rng = self._rng(clip, 2)
        if clip % 2 == 0:
            return rng.standard_normal(length)
        for path in rng.permutation([s.path for s in self.noises]):
            noise = noise_of_length(read_mono(Path(path)), length, rng)
            if power(noise) > 0.0:
                return noise
        raise SignalError("every recording of noise is silent")


def at_level(voice: F64) -> F64:
    """Active level at -26 dBFS, or below that where peaks would clip."""
    voice = voice * amplitude_from_db(_LEVEL_DB - active_speech_level_db(voice, SAMPLE_RATE_HZ))
    return np.asarray(voice * min(1.0, 0.9 / float(np.abs(voice).max())))


def mixed(clean: F64, noise: F64, snr_db: float) -> Clip:
    """Noise added; the SNR is that of the whole signals, pauses and all, so that it is the SI-SDR of what goes in."""
    clean = at_level(clean)
    noise = noise * np.sqrt(power(clean) / power(noise) * 10.0 ** (-snr_db / 10.0))
    return Clip((clean + noise).astype(np.float32), clean.astype(np.float32))


def cut_words(signal: F64) -> list[F64]:
    """Stretches of a recording that begin after 40 ms at least 30 dB below its loudest, and last 0.2 s or longer."""
    step = SAMPLE_RATE_HZ // 200  # 5 ms
    frames = signal[: signal.size // step * step].reshape(-1, step)
    level = np.mean(frames**2, axis=1)
    loud = level > 1e-3 * level.max()
    found, quiet, begun = [], 8, -1
    for i, is_loud in enumerate(np.append(loud, np.zeros(8, bool))):
        if is_loud:
            begun = i if begun < 0 and quiet >= 8 else begun
            quiet = 0
            continue
        quiet += 1
        if begun >= 0 and quiet >= 8:
            word = signal[begun * step : (i - 6) * step]
            if word.size >= 40 * step:
                found.append(word)
            begun = -1
    return found


def with_pauses(words: Sequence[F64]) -> tuple[F64, list[int]]:
    """Each word after a pause, all as loud as one another; the signal and where the words begin."""
    pause = np.zeros(round(PAUSE_SECONDS * SAMPLE_RATE_HZ))
    parts, starts, total = [], [], 0
    for word in words:
        starts.append(total + pause.size)
        parts += [pause, word / (np.sqrt(power(word)) + _TINY)]
        total += pause.size + word.size
    return np.concatenate([*parts, pause]), starts


def held_vowel(n: int, seed: int) -> Clip:
    """One of `VOWELS` for five seconds, two seconds in, in white noise 30 dB below it."""
    pitch_hz, vibrato, formants = VOWELS[n]
    t = np.arange((HELD_FROM_SECONDS + HELD_SECONDS + 1) * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    pitch = pitch_hz * (1.0 + vibrato * np.sin(2.0 * np.pi * 5.0 * t))
    phase = 2.0 * np.pi * np.cumsum(pitch) / SAMPLE_RATE_HZ
    voice = np.zeros(t.size)
    for k in range(1, 9 if not formants else int(5000.0 / pitch_hz)):
        hz = k * pitch_hz
        peaks = sum(1.0 / (1.0 + ((hz - formant) / 90.0) ** 2) for formant in formants) + 0.02 if formants else 1.0
        voice += np.sin(k * phase) * peaks / k
    begin, end = (s * SAMPLE_RATE_HZ for s in (HELD_FROM_SECONDS, HELD_FROM_SECONDS + HELD_SECONDS))
    voice *= 0.09 / np.sqrt(power(voice[begin:end]))
    voice[:begin] = voice[end:] = 0.0
    noisy = voice + np.random.default_rng((seed, n)).standard_normal(t.size) * 0.003
    return Clip(noisy.astype(np.float32), voice.astype(np.float32))


def power(signal: np.ndarray) -> float:
    """Mean square."""
    return float(np.mean(np.square(signal, dtype=np.float64)))


def change_db(enhanced: F32, clean: F32, begin: int, length: int) -> float:
    """Level of `length` samples against those of the clean signal, dB."""
    after, before = (power(s[begin : begin + length]) for s in (enhanced, clean))
    return 10.0 * float(np.log10((after + _TINY) / (before + _TINY)))


def onset_row(name: str, clips: Sequence[Clip], system: System) -> dict[str, Any]:
    """How much of the first 50 ms of words is left."""
    n = round(ONSET_SECONDS * SAMPLE_RATE_HZ)
    run_ = enhancer(system, SAMPLE_RATE_HZ)
    found = []
    for clip in clips:
        enhanced = run_(clip.noisy)
        found += [change_db(enhanced, clip.clean, start, n) for start in clip.starts]
    median, tenth = (float(np.percentile(found, share)) for share in (50, 10))
    figures = {"median_db": round(median, 2), "tenth_db": round(tenth, 2)}
    return row(name, system, len(found), figures, median > ONSET_MEDIAN_DB and tenth > ONSET_TENTH_DB)


def snr_row(snr_db: float, clips: Sequence[Clip], system: System) -> dict[str, Any]:
    """SI-SDR of what was nearly clean."""
    run_ = enhancer(system, SAMPLE_RATE_HZ)
    out = float(np.mean([metrics.si_sdr_db(clip.clean, run_(clip.noisy)) for clip in clips]))
    figures = {"in_db": round(float(np.mean([metrics.si_sdr_db(c.clean, c.noisy) for c in clips])), 2)}
    holds = out >= LEAST_OUT_DB[snr_db] if snr_db in LEAST_OUT_DB else None
    return row(f"SNR {snr_db:g} dB", system, len(clips), figures | {"out_db": round(out, 2)}, holds)


def held_row(clips: Sequence[Clip], system: System) -> dict[str, Any]:
    """Of each vowel the second that has changed most."""
    run_ = enhancer(system, SAMPLE_RATE_HZ)
    worst = np.empty(len(clips))
    for n, clip in enumerate(clips):
        enhanced = run_(clip.noisy)
        seconds = range(HELD_FROM_SECONDS, HELD_FROM_SECONDS + HELD_SECONDS)
        changes = [change_db(enhanced, clip.clean, s * SAMPLE_RATE_HZ, SAMPLE_RATE_HZ) for s in seconds]
        worst[n] = changes[int(np.argmax(np.abs(changes)))]
    most = float(worst[int(np.argmax(np.abs(worst)))])
    figures = {"median_db": round(float(np.median(worst)), 2), "worst_db": round(most, 2)}
    return row("held vowel", system, len(clips), figures, abs(most) <= HELD_DB)


def clean_row(clips: Sequence[Clip], system: System) -> dict[str, Any]:
    """PESQ, eSTOI and SI-SDR of clean speech."""
    run_ = enhancer(system, SAMPLE_RATE_HZ)
    found = []
    for clip in clips:
        out = run_(clip.noisy)
        pair = clip.clean, out
        found.append((metrics.pesq_wideband(*pair), metrics.stoi(*pair, extended=True), metrics.si_sdr_db(*pair)))
    pesq, estoi, si_sdr = np.nanmean(np.array(found), axis=0)
    figures = {"pesq_wb": round(float(pesq), 2), "estoi": round(float(estoi), 3), "si_sdr_db": round(float(si_sdr), 1)}
    return row("clean", system, len(clips), figures, None)


def row(case: str, system: System, n: int, figures: dict[str, float], holds: bool | None) -> dict[str, Any]:
    """One entry of the record; `holds` is null where there is no target."""
    return {"case": case, "system": system.name, "n": n, "figures": figures, "holds": holds}


def report(rows: Sequence[dict[str, Any]]) -> str:
    """One line a system: every case, and which targets it misses."""
    cases = list(dict.fromkeys(r["case"] for r in rows))
    by_system: dict[str, dict[str, dict[str, Any]]] = {}
    for entry in rows:
        by_system.setdefault(entry["system"], {})[entry["case"]] = entry
    lines = []
    for system, found in by_system.items():
        cells = [cell(found[case]) for case in cases]
        missed = [case for case in cases if found[case]["holds"] is False]
        judged = any(found[case]["holds"] is not None for case in cases)
        lines.append([system, *cells, ", ".join(missed) if missed else "none" if judged else "-"])
    return tables.markdown_table(["harm", *cases, "misses"], lines)


def cell(entry: dict[str, Any]) -> str:
    """The figures of a case."""
    figures = dict(entry["figures"])
    figures.pop("in_db", None)
    return " / ".join(f"{value:g}" for value in figures.values())


if __name__ == "__main__":
    sys.exit(main())
