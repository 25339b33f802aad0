"""Run one evaluation, from the request to the output folder."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from rtdenoise.disk.atomic import require_folder, write_text
from rtdenoise.errors import AudioFileError, ConfigError, RtDenoiseError
from rtdenoise.evaluate import clips as clip_sets
from rtdenoise.evaluate import mixing
from rtdenoise.evaluate.compared.cost import costs
from rtdenoise.evaluate.compared.systems import NOISY, System, choose, find_delay
from rtdenoise.evaluate.measures import metrics
from rtdenoise.evaluate.report import tables
from rtdenoise.evaluate.report.drawing import NO_PICTURES, can_draw
from rtdenoise.evaluate.report.page import write_page
from rtdenoise.evaluate.report.pictures import curves_over_snr, quality_over_delay
from rtdenoise.evaluate.report.record import make_record, to_csv, to_json
from rtdenoise.evaluate.scoring import ClipScores, Progress, score_all
from rtdenoise.evaluate.signals import SAMPLE_RATE_HZ
from rtdenoise.rates import resample
from rtdenoise.typing import F32

_log = logging.getLogger(__name__)

_COST_SECONDS = 10
_SECONDS_MAX = 600.0  # of a mixture: longer ones do not change the scores, and PESQ takes minutes for each


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What to evaluate.

    Either `clean` and `noisy` (folders of pairs), or `voicebank` (the unpacked VoiceBank-DEMAND folder), or `speech`
    and `noise` (folders or manifests) mixed at `snrs_db`.  From manifests, only rows of this `split` and speech of
    these `tiers` are used; `labels`: noises to rotate through, optionally including "babble" (other speakers); empty:
    all.  `clean_clips`: number of clips also evaluated without noise.  `page_clips`: clips at either end of the page;
    0 omits the page.
    """

    own: tuple[str, ...]
    peers: tuple[str, ...]
    output: Path
    clean: Path | None = None
    noisy: Path | None = None
    voicebank: Path | None = None
    speech: Path | None = None
    noise: Path | None = None
    split: str = ""
    tiers: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    snrs_db: tuple[float, ...] = (-5.0, 0.0, 5.0, 10.0, 15.0)
    count: int | None = None
    seconds: float = 6.0
    seed: int = 1
    clean_clips: int = 0
    page_clips: int = 3
    with_dnsmos: bool = True
    with_costs: bool = True
    jobs: int = 1
    cache: Path | None = None

    def __post_init__(self) -> None:
        given = (bool(self.clean and self.noisy), self.voicebank is not None, bool(self.speech and self.noise))
        if sum(given) != 1:
            raise ConfigError("give --clean and --noisy, or --speech and --noise, or --voicebank alone")
        least = {"clips": (self.count, 1), "seed": (self.seed, 0), "clean_clips": (self.clean_clips, 0)}
        for name, (value, limit) in {**least, "page_clips": (self.page_clips, 0), "jobs": (self.jobs, 1)}.items():
            if value is not None and value < limit:
                raise ConfigError(f"{name}={value} must be at least {limit}")
        if not 1.0 <= self.seconds <= _SECONDS_MAX:
            raise ConfigError(f"seconds={self.seconds} must be from 1 to {_SECONDS_MAX:g}: metrics need speech")
        if not all(map(isfinite, self.snrs_db)):
            raise ConfigError(f"snr={','.join(f'{v:g}' for v in self.snrs_db)} must be finite, in dB")


@dataclass(frozen=True, slots=True)
class Answer:
    """The record, its tables as Markdown, and the files written."""

    record: Mapping[str, Any]
    markdown: str
    files: tuple[Path, ...]


def evaluate(request: Request, progress: Progress | None = None) -> Answer:
    """Score all systems, and write JSON, CSV, Markdown, figures and the page into the output folder.

    Earlier scores are read from its folder ``cache``: an evaluation that was stopped resumes where it was.

    Raises
    ------
    ConfigError, AudioFileError
        If nothing can be evaluated; a clip or peer that fails is reported, and the rest goes on.
    """
    require_folder(request.output)
    left_out: dict[str, str] = {}
    clips, material = gather_clips(request, left_out)
    for package, what in metrics.missing_packages(with_dnsmos=request.with_dnsmos).items():
        _log.warning("the package %s is not installed; %s", package, what)
    if not can_draw():
        _log.warning("%s; the report comes without", NO_PICTURES)
    systems, missing = choose(request.own, request.peers)
    systems, missing = _with_delays(systems, missing, clips)
    for name, reason in missing.items():
        _log.warning("peer %s left out: %s", name, reason)
    every = [*clips, *clip_sets.clean_inputs(clips, request.clean_clips)]
    scored = score_all(
        every,
        systems,
        request.cache or request.output / "cache",
        jobs=request.jobs,
        with_dnsmos=request.with_dnsmos,
        progress=progress,
    )
    _tell_failures(scored)
    _require_scores(scored, systems)
    prices = costs(systems, _cost_signal()) if request.with_costs else {}
    record = make_record(scored, systems, material=material, missing=missing, costs=prices, left_out=left_out)
    text = report(record)
    return Answer(record, text, _write(request, record, text, every, systems))


def gather_clips(
    request: Request, left_out: dict[str, str] | None = None
) -> tuple[list[clip_sets.Clip], dict[str, Any]]:
    """The clips and their description for the record; recordings that are left out are noted."""
    left_out = {} if left_out is None else left_out
    if request.speech and request.noise:
        found = mixing.find_material(
            request.speech, request.noise, split=request.split, tiers=request.tiers, left_out=left_out
        )
        plan = mixing.plan_mixtures(
            found.speech,
            found.noise,
            clips=request.count or 100,
            seed=request.seed,
            snrs_db=request.snrs_db,
            seconds=request.seconds,
            labels=request.labels,
        )
        material = {"kind": "mixtures", "seed": request.seed, "seconds": request.seconds}
        return clip_sets.from_mixtures(plan), {**material, "clips": len(plan), "snrs_db": list(request.snrs_db)}
    folders = clip_sets.find_voicebank(request.voicebank) if request.voicebank else (request.clean, request.noisy)
    if folders is None or folders[0] is None or folders[1] is None:
        raise AudioFileError(f"{request.voicebank}: holds no clean_testset_wav and noisy_testset_wav")
    pairs = clip_sets.from_pairs(folders[0], folders[1])
    left_out.update(pairs.left_out)
    for path in pairs.unmatched:
        _log.warning("%s: has no partner of that name; left out", path)
    chosen = pairs.clips[: request.count]
    kind = "voicebank-demand" if pairs.voicebank else "pairs"
    return chosen, {"kind": kind, "clips": len(chosen), "unmatched": len(pairs.unmatched)}


def _with_delays(
    systems: Sequence[System], missing: Mapping[str, str], clips: Sequence[clip_sets.Clip]
) -> tuple[list[System], dict[str, str]]:
    """Programs with their delay, measured on clean speech; those that fail on it are missing."""
    if all(system.kind != "command" for system in systems):
        return list(systems), dict(missing)
    speech = _first_speech(clips)
    ready, without = [], dict(missing)
    for system in systems:
        try:
            ready.append(find_delay(system, speech))
        except ConfigError as error:
            without[system.name] = str(error)
    return ready, without


def _first_speech(clips: Sequence[clip_sets.Clip]) -> F32:
    for clip in clips:
        try:
            clean, _noisy, rate_hz = clip_sets.render(clip)
        except RtDenoiseError:
            continue
        if rate_hz == SAMPLE_RATE_HZ:
            return clean
        return np.asarray(resample(clean, rate_hz, SAMPLE_RATE_HZ), np.float32)
    raise AudioFileError("no clip can be read")


def _tell_failures(scored: Sequence[ClipScores]) -> None:
    for remark in dict.fromkeys(remark for entry in scored for remark in entry.remarks):
        _log.warning("%s", remark)
    for entry in scored:
        if entry.error:
            _log.warning("left out: %s: %s", entry.clip.name, entry.error)
        for name, reason in entry.failed.items():
            _log.warning("%s failed on %s: %s", name, entry.clip.name, reason)
    if all(entry.error for entry in scored):
        raise AudioFileError(f"none of {len(scored)} clips can be measured; the first: {scored[0].error}")


def _require_scores(scored: Sequence[ClipScores], systems: Sequence[System]) -> None:
    """Raise if every system under test failed on every clip."""
    names = [system.name for system in systems if system.name != NOISY]
    if names and not any(name in entry.scores for entry in scored for name in names):
        first = next((reason for entry in scored for reason in entry.failed.values()), "nothing was scored")
        raise AudioFileError(f"{', '.join(names)} failed on each of {len(scored)} clips; the first: {first}")


def _cost_signal() -> F32:
    """Harmonic bursts in noise, which exercise every branch."""
    rng = np.random.default_rng(0)
    t = np.arange(_COST_SECONDS * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    voice = np.sum([np.sin(2 * np.pi * 130 * k * t) / k for k in range(1, 20)], axis=0)
    noisy = 0.08 * voice * (np.sin(2 * np.pi * 2.3 * t) > 0) + rng.normal(0, 0.02, t.size)
    return np.asarray(noisy, np.float32)


def report(record: Mapping[str, Any]) -> str:
    """The tables of a record as Markdown."""
    parts = ["## Means with 95 % intervals", tables.quality(record, intervals=True)]
    if record["material"].get("kind") == "voicebank-demand":
        parts += ["## VoiceBank-DEMAND, as in the papers", tables.papers(record)]
    metric = next((m for m in tables.SHORT if any(m in e["mean"] for e in record["systems"].values())), "estoi")
    for section, title in (("by_snr", "SNR"), ("by_noise", "noise"), ("by_speaker", "voice")):
        parts += [f"## {tables.COLUMNS[metric][0]} by {title}", tables.groups(record, section, metric)]
    if record["clean_in"]:
        parts += ["## Clean speech in", tables.clean_speech(record)]
    notes = [f"- {kind}: {name}: {why}" for kind in ("missing", "left_out") for name, why in record[kind].items()]
    notes += [f"- failed: {name} on {len(found)} clips" for name, found in record["failed"].items()]
    if notes:
        parts += ["## Left out", "\n".join(notes)]
    return "\n\n".join(parts) + "\n"


def _write(
    request: Request,
    record: Mapping[str, Any],
    text: str,
    clips: Sequence[clip_sets.Clip],
    systems: Sequence[System],
) -> tuple[Path, ...]:
    folder = request.output
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in (
            ("evaluation.json", to_json(record)),
            ("scores.csv", to_csv(record)),
            ("report.md", text),
        ):
            write_text(folder / name, content)
        drawn = [
            name
            for name, draw in (("delay.png", quality_over_delay), ("snr.png", curves_over_snr))
            if can_draw() and draw(record, folder / name)
        ]
        files = [folder / name for name in ("evaluation.json", "scores.csv", "report.md", *drawn)]
        if request.page_clips:
            judged = _judged(systems)
            files.append(
                write_page(folder, record, clips, systems, judged=judged, count=request.page_clips, pictures=drawn)
            )
    except OSError as error:
        if isinstance(error, AudioFileError):
            raise
        raise AudioFileError(f"{folder}: cannot be written: {error.strerror}") from error
    return tuple(files)


def _judged(systems: Sequence[System]) -> str:
    """The system whose gain selects the clips of the page: the first own one that changes the signal."""
    own = [s.name for s in systems if s.kind == "own" and not s.spec.lower().startswith("bypass")]
    return own[0] if own else systems[-1].name
