"""Word errors of every method, in noise and without, from the request to the output folder."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rtdenoise.disk.atomic import require_folder, write_text
from rtdenoise.errors import AudioFileError, ConfigError, RtDenoiseError, reason
from rtdenoise.evaluate.cache import Cache, digest
from rtdenoise.evaluate.compared.systems import NOISY, System, choose, enhancer, fingerprint
from rtdenoise.evaluate.machine import origin
from rtdenoise.evaluate.mixing import find_sources
from rtdenoise.evaluate.report.record import to_json
from rtdenoise.evaluate.report.tables import markdown_table
from rtdenoise.evaluate.session import Answer
from rtdenoise.evaluate.signals import SAMPLE_RATE_HZ
from rtdenoise.evaluate.words.errors import Count, count, difference_interval, rate_interval
from rtdenoise.evaluate.words.recognisers import Recogniser
from rtdenoise.evaluate.words.utterances import Mixture, find_utterances, plan, render
from rtdenoise.typing import F32

_log = logging.getLogger(__name__)

SCHEMA = "rtdenoise.words/1"
IN_NOISE, CLEAN = "noisy", "clean"

Progress = Callable[[int, int], None]
Transcripts = dict[str, dict[str, dict[str, str]]]
"""By condition, system and recogniser: what was heard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to recognise.

    `speech`: a manifest with transcripts; `noise`: a folder or manifest; `count`: utterances, all of them if None;
    `own`, `peers`: as for `rtdenoise.evaluate.session`.
    """

    speech: Path
    noise: Path
    recognisers: tuple[Recogniser, ...]
    own: tuple[str, ...]
    output: Path
    peers: tuple[str, ...] = ()
    split: str = ""
    tiers: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    snrs_db: tuple[float, ...] = (0.0, 5.0, 10.0, 15.0)
    count: int | None = None
    seed: int = 1
    cache: Path | None = None

    def __post_init__(self) -> None:
        if self.count is not None and self.count < 1:
            raise ConfigError(f"clips={self.count} must be at least 1")
        names = [recogniser.name for recogniser in self.recognisers]
        if not names or len(set(names)) < len(names):
            raise ConfigError(f"asr={', '.join(names) or None}: name at least one recogniser, and none twice")


def evaluate_words(request: Request, progress: Progress | None = None) -> Answer:
    """Recognise every utterance in noise and without, as it is and after every method, and count word errors.

    What was heard is kept in the folder ``cache``: an evaluation that was stopped goes on where it was.

    Raises
    ------
    ConfigError, AudioFileError, MissingExtraError
        If nothing can be recognised; an utterance that cannot be read is named, and the rest goes on.
    """
    count("a", "a")  # says at once what is missing
    require_folder(request.output)
    utterances = find_utterances(request.speech, request.split, request.tiers)
    mixtures = plan(
        utterances,
        find_sources(request.noise, "noise", request.split),
        count=request.count or len(utterances),
        seed=request.seed,
        snrs_db=request.snrs_db,
        labels=request.labels,
    )
    systems, missing = choose(request.own, request.peers)
    for name, why in missing.items():
        _log.warning("peer %s left out: %s", name, why)
    cache = Cache(request.cache or request.output / "cache")
    transcripts: dict[str, Transcripts] = {}
    for done, mixture in enumerate(mixtures):
        if progress is not None:
            progress(done, len(mixtures))
        try:
            transcripts[mixture.name] = _transcribe_all(mixture, systems, request.recognisers, cache)
        except (RtDenoiseError, OSError) as error:
            _log.warning("left out: %s: %s", mixture.name, reason(error))
    if progress is not None:
        progress(len(mixtures), len(mixtures))
    used = [mixture for mixture in mixtures if mixture.name in transcripts]
    if not used:
        raise AudioFileError(f"none of {len(mixtures)} utterances could be recognised")
    record = make_record(request, used, systems, transcripts)
    text = report(record)
    files = (request.output / "words.json", request.output / "words.md")
    for path, content in zip(files, (to_json(record), text), strict=True):
        write_text(path, content)
    return Answer(record, text, files)


def _transcribe_all(
    mixture: Mixture, systems: Sequence[System], recognisers: Sequence[Recogniser], cache: Cache
) -> Transcripts:
    clean, noisy = render(mixture)
    found: Transcripts = {IN_NOISE: {}, CLEAN: {}}
    for condition, signal in ((IN_NOISE, noisy), (CLEAN, clean)):
        for system in systems:
            enhanced = _enhanced(system, signal)
            found[condition][system.name] = {one.name: _transcribe(one, enhanced, cache) for one in recognisers}
    return found


def _enhanced(system: System, signal: F32) -> F32:
    return signal if system.name == NOISY else enhancer(system, SAMPLE_RATE_HZ)(signal)


def _transcribe(recogniser: Recogniser, signal: F32, cache: Cache) -> str:
    key = digest("heard", recogniser.name, recogniser.fingerprint, signal)
    kept = cache.get(key).get("text")
    if isinstance(kept, str):
        return kept
    text = recogniser.hear(signal)
    cache.put(key, {"text": text})
    return text


def make_record(
    request: Request, mixtures: Sequence[Mixture], systems: Sequence[System], transcripts: Mapping[str, Transcripts]
) -> dict[str, Any]:
    """All results, as plain values: rates by recogniser, condition and system, and every transcript."""
    rates = {}
    for recogniser in request.recognisers:
        rates[recogniser.name] = {
            condition: _rates(recogniser.name, condition, mixtures, systems, transcripts)
            for condition in (IN_NOISE, CLEAN)
        }
    return {
        "schema": SCHEMA,
        **origin(),
        "material": {"seed": request.seed, "snrs_db": list(request.snrs_db), "utterances": len(mixtures)},
        "systems": {system.name: {"kind": system.kind, "fingerprint": fingerprint(system)} for system in systems},
        "word_errors": rates,
        "utterances": [
            {
                "name": mixture.name,
                "speaker": mixture.utterance.speaker,
                "noise": mixture.noise_label,
                "snr_db": mixture.snr_db,
                "said": mixture.utterance.text,
                "heard": transcripts[mixture.name],
            }
            for mixture in mixtures
        ],
    }


def _rates(
    recogniser: str,
    condition: str,
    mixtures: Sequence[Mixture],
    systems: Sequence[System],
    transcripts: Mapping[str, Transcripts],
) -> dict[str, Any]:
    def counts(system: str) -> list[Count]:
        return [count(m.utterance.text, transcripts[m.name][condition][system][recogniser]) for m in mixtures]

    unprocessed, table = counts(NOISY), {}
    for system in systems:
        own = counts(system.name)
        table[system.name] = {
            **rate_interval(own),
            "over_unprocessed": difference_interval(own, unprocessed),
            "by_snr": {
                f"{snr:g}": rate_interval([c for c, m in zip(own, mixtures, strict=True) if m.snr_db == snr])
                for snr in dict.fromkeys(m.snr_db for m in mixtures)
                if condition == IN_NOISE
            },
        }
    return table


def report(record: Mapping[str, Any]) -> str:
    """A table for each recogniser as Markdown: word error rates in percent."""
    parts = []
    for recogniser, conditions in record["word_errors"].items():
        noisy, clean = conditions[IN_NOISE], conditions[CLEAN]
        snrs = sorted(noisy[NOISY]["by_snr"], key=float)
        rows = []
        for name, entry in noisy.items():
            by_snr = [f"{100 * entry['by_snr'][snr]['rate']:.1f}" for snr in snrs]
            label = "unprocessed" if name == NOISY else name
            rows.append(
                [label, _rate(entry), _difference(entry), *by_snr, _rate(clean[name]), _difference(clean[name])]
            )
        head = ["word errors %", "in noise", "more", *(f"{snr} dB" for snr in snrs), "clean", "more"]
        words = noisy[NOISY]["words"]
        parts += [f"## {recogniser}: {words} words in {noisy[NOISY]['n']} utterances", markdown_table(head, rows)]
    parts.append("With 95 % intervals; *more*: than unprocessed, on the same utterances.")
    return "\n\n".join(parts) + "\n"


def _rate(entry: Mapping[str, float]) -> str:
    return f"{100 * entry['rate']:.1f} ({100 * entry['low']:.1f} to {100 * entry['high']:.1f})"


def _difference(entry: Mapping[str, Any]) -> str:
    more = entry["over_unprocessed"]
    return f"{100 * more['rate']:+.1f} ({100 * more['low']:+.1f} to {100 * more['high']:+.1f})"
