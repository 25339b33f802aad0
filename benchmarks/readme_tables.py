r"""The tables of README.md and of pages in docs/, made from the records in benchmarks/records and from the package.

A table stands between ``<!-- table: NAME -->`` and ``<!-- end of table -->``; NAME: summary, quality, latency, cost,
network, high, harms from records, doctor from the texts of `rtdenoise doctor`; on the card of a network card, bands,
above, harm.

    python benchmarks/readme_tables.py                 # writes the tables into all of them
    python benchmarks/readme_tables.py --check         # exit code 1 if one of them and the records disagree
    python benchmarks/readme_tables.py --take quality=quality.json --take bench=bench/bench.json --take cost=cost.json
    python benchmarks/readme_tables.py --take can=can.json --take harm=harm.json --take bands=bands.json
    python benchmarks/readme_tables.py --take full_band=full_band.json

``--take`` first copies new records of `benchmarks/quality.py`, `rtdenoise bench`, `benchmarks/cost.py`,
`benchmarks/can_speed.py`, `benchmarks/harm.py`, `benchmarks/bands.py` and `benchmarks/full_band.py` into
benchmarks/records, without their single clips and histograms.  Of the systems of an earlier record those that a new
record of quality, harm, bands or full_band lacks are kept, if both are of the same mixtures.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.bands import cell
from rtdenoise.bench.tables import label
from rtdenoise.evaluate.report.tables import markdown_table, number
from rtdenoise.live_audio.troubles import TROUBLES

ROOT = Path(__file__).resolve().parent.parent
RECORDS = ROOT / "benchmarks" / "records"
NETWORKS = ("can-live", "can-ultra", "can-small", "can-wave")
CARDS = tuple(ROOT / "models" / name / "README.md" for name in NETWORKS)
PAGES = (
    ROOT / "README.md",
    ROOT / "docs" / "figures.md",
    ROOT / "docs" / "benchmarks.md",
    ROOT / "docs" / "troubleshooting.md",
    *CARDS,
)
NAMES = ("quality", "bench", "cost", "can", "harm", "bands", "full_band")
_MATERIAL = ("seed", "every", "split", "clips", "seconds")
"""Fields of records of harm, bands and full_band that say which mixtures they are of."""
_CHANGED = "2026-11-27"
"""Since when methods leave clean recordings alone: figures of earlier runs say so."""
MARKED = re.compile(r"(<!-- table: (\w+) -->\n)(.*?)(<!-- end of table -->)", re.DOTALL)

_TITLES = {
    "noisy": "noisy input",
    "webrtc": "WebRTC NS, high",
    "webrtc-moderate": "WebRTC NS, moderate",
    "speexdsp": "SpeexDSP",
    "logmmse": "logmmse",
    "noisereduce": "noisereduce",
    "rnnoise": "RNNoise 0.2",
    "deepfilternet": "DeepFilterNet 3",
    "deepfilternet-ll": "DeepFilterNet 3 LL",
}
_METRICS = (
    ("pesq_wb", "PESQ-wb", 2),
    ("estoi", "eSTOI", 3),
    ("si_sdr_db", "SI-SDR dB", 1),
    ("dnsmos_ovrl", "DNSMOS OVRL", 2),
)
_CHOICE = (
    "noisy",
    "CAN:can-live",
    "CAN:can-ultra",
    "CAN:can-small",
    "WF:quality",
    "WF:balanced",
    "WF:low",
    "rnnoise",
    "deepfilternet",
    "deepfilternet-ll",
)
_BANDS = {"WF": "96", "CAN": "8 (96)", "rnnoise": "24", "deepfilternet": "24", "deepfilternet-ll": "24"}
_COSTS = {
    "RNNoise": "rnnoise",
    "DeepFilterNet": "deepfilternet",
    "DeepFilterNet LL": "deepfilternet-ll",
}  # names in the record of cost, in that of quality
_ENGINES = {"numba": "numba", "litert": "LiteRT", "litert int8": "LiteRT, 8 bits", "tf": "TensorFlow"}
_EXPLAINED = "what the columns are: [benchmarks](../../docs/benchmarks.md#recordings-that-need-no-denoiser)."
_EARLIER = "\\* An earlier run of the same mixtures, before methods learnt to leave clean recordings alone."
_CLEAN, _ONE_GAIN = "clean", ", one gain"  # in the record of benchmarks/full_band.py
_DROPPED = frozenset({"scores", "clips", "by_speaker", "histogram", "capacity", "jitter_us", "left_out", "failed"})


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--take", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--page", type=Path, action="append", help="in place of README.md and the pages in docs/")
    parser.add_argument("--records", type=Path, default=RECORDS)
    options = parser.parse_args(arguments)
    for text in options.take:
        name, _, file = text.partition("=")
        if name not in NAMES or not file:
            parser.error(f"--take {text}: give NAME=FILE with one of {', '.join(NAMES)}")
        take(name, Path(file), options.records)
    disagree = False
    for page in options.page or PAGES:
        before = page.read_text(encoding="utf-8")
        after = fill(before, options.records, page.parent.name)
        if before == after:
            continue
        if options.check:
            disagree = True
            print(f"{page}: tables and records disagree; run {Path(__file__).name}", file=sys.stderr)
        else:
            page.write_text(after, encoding="utf-8")
    return int(disagree)


def take(name: str, file: Path, records: Path) -> None:
    """Copy a record without what tables do not need."""
    record = _compact(json.loads(file.read_text(encoding="utf-8")))
    before = _read(name, records)
    if name == "quality" and before and before["material"] == record["material"]:
        record = _with_others(record, before)
    elif name in ("harm", "bands", "full_band") and before and _mixtures(before) == _mixtures(record):
        record = _with_other_rows(record, before)
    records.mkdir(parents=True, exist_ok=True)
    (records / f"{name}.json").write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _with_others(record: dict[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """The record with the systems that only the earlier one has; `kept` says when those were measured."""
    origin = {key: before[key] for key in ("created", "version", "commit") if key in before}
    earlier = dict.fromkeys(before["systems"], origin) | before.get("replaced", {}) | before.get("kept", {})
    names = [*before["systems"], *(name for name in record["systems"] if name not in before["systems"])]
    merged = {
        key: {
            name: record[key].get(name) or before[key][name] for name in names if name in {*record[key], *before[key]}
        }
        for key in ("systems", "clean_in")
    }
    kept = {name: earlier[name] for name in names if name not in record["systems"]}
    return record | merged | ({"kept": kept} if kept else {})


def _mixtures(record: Mapping[str, Any]) -> list[Any]:
    """What a record of rows is of; recordings that differ show in the figures of the noisy input."""
    noisy = [row for row in record["rows"] if row["system"] == "noisy"]
    return [*(record.get(key) for key in _MATERIAL), sorted({row["case"] for row in record["rows"]}), noisy]


def _with_other_rows(record: dict[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """The record with rows of systems that only the earlier one has; `kept` says when those were measured."""
    measured = {row["system"] for row in record["rows"]}
    others = [row for row in before["rows"] if row["system"].removesuffix(_ONE_GAIN) not in measured]
    if not others:
        return record
    origin = {key: before[key] for key in ("created", "version", "commit") if key in before}
    earlier = before.get("kept", {})
    kept = {row["system"]: earlier.get(row["system"], origin) for row in others}
    order = list(dict.fromkeys(row["system"] for row in [*before["rows"], *record["rows"]]))
    rows = sorted([*others, *record["rows"]], key=lambda row: order.index(row["system"]))
    return record | {"rows": rows, "kept": kept}


def _compact(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {
            key: _compact(item)
            for key, item in value.items()
            if not (key in _DROPPED and isinstance(item, (dict, list)))
        }
        if "by_noise" in kept and "mean" in kept:  # of a system: intervals of the whole, means of the parts
            for section in ("by_noise", "by_snr"):
                kept[section] = {
                    group: {metric: found["mean"] for metric, found in means.items()}
                    for group, means in kept[section].items()
                }
        return kept
    if isinstance(value, list):
        return [_compact(item) for item in value]
    return round(value, 5) if isinstance(value, float) else value


def fill(text: str, records: Path, folder: str = "") -> str:
    """The text with every marked table made anew; one without a record is left as it is.

    Parameters
    ----------
    text : str
    records : Path
    folder : str
        Name of the folder that the page is in, which names the network on a card.
    """

    def table(match: re.Match[str]) -> str:
        made = render(match[2], records, folder)
        return match[0] if made is None else f"{match[1]}\n{made}\n\n{match[4]}"

    return MARKED.sub(table, text)


def render(name: str, records: Path, folder: str) -> str | None:
    """One table, or None without its record."""
    if name == "doctor":
        return doctor()
    if name not in TABLES:
        raise SystemExit(f"a page marks a table {name!r}; known: doctor, {', '.join(TABLES)}")
    record, make = TABLES[name]
    found = _read(record, records)
    if found is None:
        return None
    if name == "summary":
        return summary(found, _shares(records))
    return make(found, f"CAN:{folder}") if name in OF_CARDS else make(found)


def _read(name: str, records: Path) -> Any:
    path = records / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def _shares(records: Path) -> dict[str, float]:
    """Share of a core that systems take in one run, by their names in the record of quality."""
    rows = (_read("cost", records) or {}).get("rows", [])
    return {_COSTS.get(row["system"], row["system"].replace(" ", ":")): row["us_per_10ms"] / 1e4 for row in rows}


def quality(record: Mapping[str, Any]) -> str:
    """Means on noisy speech with half their 95 % interval, delay, and PESQ of clean speech that goes through."""
    clean = record["clean_in"]
    rows = []
    for name, entry in record["systems"].items():
        cells = [_with_interval(entry["mean"].get(metric), digits) for metric, _, digits in _METRICS]
        delay = entry["latency_ms"]
        late = "-" if entry["kind"] == "noisy" else "whole file" if delay is None else f"{delay:.0f}"
        kept = clean.get(name, {}).get("pesq_wb", {}).get("mean")
        rows.append([_title(name, entry["kind"]) + _star(name, record), late, *cells, number(kept, 2)])
    headings = ["system", "delay ms", *(heading for _, heading, _ in _METRICS), "PESQ-wb of clean speech"]
    material = record["material"]
    snrs = [f"{snr:g}" for snr in material["snrs_db"]]
    note = (
        f"Means of {material['clips']} seeded mixtures at {', '.join(snrs)} dB, ± half a 95 % interval; version "
        f"{record['version']}, `python benchmarks/quality.py`."
    )
    return f"{markdown_table(headings, rows)}\n\n{note}{_star_note(rows)}"


def summary(record: Mapping[str, Any], shares: Mapping[str, float]) -> str:
    """What a reader chooses by: a few systems, means alone, and the share of a core that each takes."""
    systems = {name: record["systems"][name] for name in _CHOICE if name in record["systems"]}
    rows = []
    for name, entry in systems.items():
        means = [number((entry["mean"].get(metric) or {}).get("mean"), digits) for metric, _, digits in _METRICS]
        late = "-" if entry["kind"] == "noisy" else f"{entry['latency_ms']:.0f}"
        share = f"{100 * shares[name]:.2g}" if name in shares else "-"
        band = _BANDS.get(name.partition(":")[0], "-")
        rows.append([_title(name, entry["kind"]) + _star(name, record), late, band, *means, share])
    headings = ["", "delay ms", "band kHz", *(heading for _, heading, _ in _METRICS), "% of a core"]
    note = (
        f"Means of {record['material']['clips']} noisy mixtures at 16 kHz; higher is better, but for delay and cost. "
        "In brackets: up to where a small head decides. Cost: processor time of one run, hop after hop "
        "without a pause; other denoisers as their packages on PyPI are built."
    )
    return f"{markdown_table(headings, rows)}\n\n{note}{_star_note(rows)}"


def _title(name: str, kind: str) -> str:
    return f"`{name.replace(':', ' ')}`" if kind == "own" else _TITLES.get(name, name)


def _star(name: str, record: Mapping[str, Any]) -> str:
    """A mark on methods of this package whose figures are of a run before all changed; what others do has not."""
    origin = record.get("kept", {}).get(name)
    earlier = origin is not None and origin.get("created", "") < _CHANGED
    return " *" if earlier and record["systems"][name]["kind"] == "own" else ""


def _star_note(rows: Sequence[Sequence[str]]) -> str:
    return f"\n{_EARLIER}" if any(row[0].endswith(" *") for row in rows) else ""


def _with_interval(found: Mapping[str, float] | None, digits: int) -> str:
    if found is None or found["mean"] is None:
        return "-"
    return f"{found['mean']:.{digits}f} ±{(found['high'] - found['low']) / 2:.{digits}f}"


def latency(record: Mapping[str, Any]) -> str:
    """Latency in parts and the verdict of every row."""
    rows = []
    for row in record["rows"]:
        if "error" in row or "+" in row["name"]:  # other engines and forms of the same networks
            continue
        parts = row["latency_ms"]
        cells = [f"{parts[part]:.1f}" for part in ("block", "algorithm", "queue")]
        rows.append(
            [
                f"`{label(row).replace(':', ' ')}`",
                f"{row['rate_hz'] / 1000:g} kHz",
                *cells,
                f"{parts['compute']:.2f}",
                f"{parts['total']:.1f}",
                f"{'yes' if row['holds'] else 'no'}, {100 * row['margin']:.0f} % left",
            ]
        )
    headings = ("method", "rate", "block", "algorithm", "queue", "compute p99", "sum, ms", "live here")
    return f"{markdown_table(headings, rows)}\n\n{_machine(record)}, `rtdenoise bench`; devices come on top."


def cost(record: Mapping[str, Any]) -> str:
    """What a hop costs, beside other denoisers of the same run."""
    others = list(record["rows"][0]["ratio_to"])
    rows = []
    for row in record["rows"]:
        us, ratios = row["us_per_10ms"], (row["ratio_to"].get(other) for other in others)
        rows.append([row["system"], f"{us:.1f}", f"{us / 1e4:.5f}", *(number(ratio, 2) for ratio in ratios)])
    headings = ("system", "us per 10 ms", "RTF", *(f"to {other}" for other in others))
    streams = f"`WF balanced`: {record['streams_per_core']:.0f} streams in real time on one core."
    note = "RNNoise and DeepFilterNet as their packages on PyPI are built, at 48 kHz, without a resampler."
    return f"{markdown_table(headings, rows)}\n\n{streams} {note} {_machine(record)}, `python benchmarks/cost.py`."


def network(record: Mapping[str, Any]) -> str:
    """What a step of the networks costs, back to back and when it is due."""
    rows = []
    for row in record["steps"]:
        name, _, engine = row["system"].partition(" ")
        paced = " / ".join(f"{row[f'paced_wall_{label}_ms']:.2f}" for label in ("p50", "p99", "p99.9"))
        cells = [_ENGINES[engine], f"{row['hop_ms']:g}", f"{row['back_to_back_ms']:.3f}", f"{row['rtf']:.3f}"]
        streams = ", ".join(f"{n:.0f}" for n in row.get("streams_per_core", {}).values()) or "-"
        rows.append([f"`CAN {name}`", *cells, paced, streams])
    headings = ("network", "engine", "step ms", "back to back ms", "RTF", "paced p50 / p99 / p99.9 ms", "streams")
    note = (
        "Paced: a step when it is due, with real-time priority. Streams: so many one core serves at 16 and at 48 kHz, "
        "in packets of 20 ms."
    )
    return (
        f"{markdown_table(headings, rows)}\n\n{note} {_machine(record)}, `python benchmarks/can_speed.py --realtime`."
    )


def card(record: Mapping[str, Any], name: str) -> str:
    """A network on noisy speech of the record of quality, beside others; and by SNR."""
    systems, clean = record["systems"], record["clean_in"]
    rows = []
    for other in (each for each in dict.fromkeys(("noisy", name, *_CHOICE)) if each in systems):
        entry = systems[other]
        means = [number((entry["mean"].get(metric) or {}).get("mean"), digits) for metric, _, digits in _METRICS]
        kept = [clean.get(other, {}).get(metric, {}).get("mean") for metric in ("pesq_wb", "estoi")]
        late = "-" if entry["kind"] == "noisy" else f"{entry['latency_ms']:.0f}"
        title = f"**{name.partition(':')[2]}**" if other == name else _title(other, entry["kind"])
        rows.append([title + _star(other, record), late, *means, f"{number(kept[0], 2)}, {number(kept[1], 3)}"])
    headings = ["", "delay ms", *(heading for _, heading, _ in _METRICS), "PESQ-wb, eSTOI of clean speech"]
    by_snr = systems[name]["by_snr"]
    parts = [
        f"{heading} {', '.join(number(found[metric], digits) for found in by_snr.values())}"
        for metric, heading, digits in _METRICS
    ]
    material = record["material"]
    note = (
        f"Means of {material['clips']} mixtures of {material['seconds']:g} s, unseen speakers and recordings "
        f"(`python benchmarks/quality.py`). At {', '.join(by_snr)} dB: {'; '.join(parts)}."
    )
    return f"{markdown_table(headings, rows)}\n\n{note}{_star_note(rows)}"


def bands(record: Mapping[str, Any], name: str) -> str | None:
    """A network on speech whose band ends, beside what goes in and two others; None where it was not measured."""
    cases = list(dict.fromkeys(row["case"] for row in record["rows"]))
    found = {(row["system"], row["case"]): row for row in record["rows"]}
    if (name, cases[0]) not in found:
        return None
    rows = []
    for system in dict.fromkeys(("noisy", name, "WF:balanced", "rnnoise")):
        if (system, cases[0]) in found:
            cells = [found[system, case] for case in cases]
            title = _title(system, "own" if ":" in system else "")
            rows.append([title, *map(cell, cells)])
    headings = ["PESQ-wb / eSTOI / SI-SDR dB", *(f"{case} kHz" if case[0].isdigit() else case for case in cases)]
    every = f" --every {record['every']}" if record["every"] > 1 else ""
    note = (
        f"Nothing above so many kHz in speech and noise; *telephone*: G.711 at 8 kHz; *opus*: at some 16 kbit/s; "
        f"*at 48 kHz*: raised before and brought down after; *at 8 kHz*: processed and measured there (PESQ-nb); "
        f"*to 8 kHz*: processed at 16 kHz, then measured so. "
        f"{record['clips']} mixtures, `python -m benchmarks.bands{every}`."
    )
    return f"{markdown_table(headings, rows)}\n\n{note}"


def high(record: Mapping[str, Any]) -> str:
    """Every system above 8 kHz."""
    rows = record["rows"]
    return f"{_high(rows, list(dict.fromkeys(row['system'] for row in rows)))}\n\n{_high_note(record)}"


def above(record: Mapping[str, Any], name: str) -> str | None:
    """A network above 8 kHz, with its head and without, beside others; None where it was not measured."""
    there = dict.fromkeys(row["system"] for row in record["rows"])
    if name not in there:
        return None
    chosen = ["noisy", name, f"{name}{_ONE_GAIN}", "WF:balanced", "rnnoise", "deepfilternet"]
    return f"{_high(record['rows'], [each for each in chosen if each in there])}\n\n{_high_note(record)}"


def _high(rows: Sequence[Mapping[str, Any]], systems: Sequence[str]) -> str:
    found = {(row["system"], row["case"]): row for row in rows}
    cases = [case for case in dict.fromkeys(row["case"] for row in rows) if case != _CLEAN]
    lines = []
    for system in systems:
        cells = [found[system, case] for case in cases]
        taken = [sum(row[f"attenuation_{part}_db"] for row in cells) / len(cells) for part in ("below", "above")]
        clean = found[system, _CLEAN]
        numbers = [f"{each:.1f}" for each in (*(row["lsd_above_db"] for row in cells), *taken)]
        numbers += [f"{clean[name]:.2f}" for name in ("lsd_above_db", "fricatives_db")]
        own, comma, rest = system.partition(",")
        lines.append([_title(own, "own" if ":" in own else "") + comma + rest, *numbers])
    distances = [f"distance at {case}" for case in cases]
    return markdown_table(
        ["dB", *distances, "taken below", "above", "distance of clean speech", "its fricatives"], lines
    )


def _high_note(record: Mapping[str, Any]) -> str:
    return (
        f"Log-spectral distance above 8 kHz; noise taken in pauses below and above 8 kHz; clean speech alone, and its "
        f"fricatives from 8 to 14 kHz. {record['clips']} clips at 48 kHz, `python -m benchmarks.full_band --headless`."
    )


def harm(record: Mapping[str, Any], name: str) -> str:
    """What becomes of recordings that need no denoiser, with one network."""
    found, missed = _harm(record, name)
    note = f"Misses: {missed}. `python benchmarks/harm.py`; {_EXPLAINED}"
    return f"{markdown_table(list(found), [list(found.values())])}\n\n{note}"


def harms(record: Mapping[str, Any]) -> str:
    """The same with every method, preset and network."""
    rows, cases = [], dict.fromkeys(row["case"] for row in record["rows"])
    for name in dict.fromkeys(row["system"] for row in record["rows"]):
        found, missed = _harm(record, name)
        rows.append([f"`{name.replace(':', ' ')}`", *(found.get(case, "-") for case in cases), missed])
    note = f"Version {record['version']}, `python benchmarks/harm.py`."
    return f"{markdown_table(['', *cases, 'misses'], rows)}\n\n{note}"


def _harm(record: Mapping[str, Any], name: str) -> tuple[dict[str, str], str]:
    """Figures of one system by case, and the cases whose target it misses."""
    rows = [row for row in record["rows"] if row["system"] == name]
    missed = ", ".join(row["case"] for row in rows if row["holds"] is False)
    figures = {row["case"]: [f"{v:.4g}" for key, v in row["figures"].items() if key != "in_db"] for row in rows}
    return {case: " / ".join(each) for case, each in figures.items()}, missed or "none"


def doctor() -> str:
    """What `rtdenoise doctor` may find, with its remedies, in the words that it uses."""
    rows = []
    for trouble in TROUBLES:
        found = trouble.found if trouble.state != "failed" else f"{trouble.found} (**failed**)"
        rows.append([f"`{trouble.check}`", _cell(found), _cell("; or ".join(trouble.remedies))])
    return _left_aligned(markdown_table(("check", "it finds", "what to do"), rows))


def _cell(text: str) -> str:
    """The text with *italics* for what it names in braces."""
    italic = re.sub(r"\{(\w+)[^}]*\}", lambda match: f"*{match[1].removesuffix('_ms').replace('_', ' ')}*", text)
    return italic.replace("|", "\\|").replace("<", "&lt;")


def _left_aligned(table: str) -> str:
    return table.replace("---:", "---")


def _machine(record: Mapping[str, Any]) -> str:
    machine = record["machine"]
    found = machine if isinstance(machine, str) else f"{machine['processor']}, {machine['cores']} cores"
    return f"Version {record['version']} on {found}"


TABLES: dict[str, tuple[str, Callable[..., str]]] = {
    "summary": ("quality", summary),
    "quality": ("quality", quality),
    "latency": ("bench", latency),
    "cost": ("cost", cost),
    "network": ("can", network),
    "card": ("quality", card),
    "bands": ("bands", bands),
    "harm": ("harm", harm),
    "harms": ("harm", harms),
    "high": ("full_band", high),
    "above": ("full_band", above),
}
OF_CARDS = frozenset({"card", "bands", "harm", "above"})


if __name__ == "__main__":
    sys.exit(main())
