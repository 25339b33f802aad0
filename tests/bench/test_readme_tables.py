"""The tables of README and figures are the records, cell by cell."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def tables() -> ModuleType:
    path = ROOT / "benchmarks" / "readme_tables.py"
    specification = importlib.util.spec_from_file_location("readme_tables", path)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_pages_and_records_agree(tables):
    assert tables.main(["--check"]) == 0


def test_every_record_is_on_a_page(tables):
    text = "\n".join(page.read_text(encoding="utf-8") for page in tables.PAGES)
    marked = {match[2] for match in tables.MARKED.finditer(text)}
    there = {name for name, (record, _) in tables.TABLES.items() if (tables.RECORDS / f"{record}.json").is_file()}
    assert there <= marked


def mean(value: float) -> dict[str, float]:
    return {"mean": value, "low": value - 0.1, "high": value + 0.1, "n": 9}


@pytest.fixture
def place(tables, tmp_path):
    """A README and records of a project that has both."""
    entry = {
        "kind": "own",
        "latency_ms": 16.0,
        "mean": {"pesq_wb": mean(1.75), "estoi": mean(0.5)},
        "by_noise": {"rain": {"pesq_wb": mean(1.6)}},
        "by_snr": {},
        "by_speaker": {"anna": {}},
    }
    record = {
        "version": "1.2",
        "material": {"clips": 9, "snrs_db": [0.0, 5.0]},
        "clean_in": {"WF:low": {"pesq_wb": mean(4.321)}},
        "systems": {"WF:low": entry},
        "scores": {"clip": {}},
    }
    (tmp_path / "quality.json").write_text(json.dumps(record))
    (tmp_path / "README.md").write_text("# A\n\n<!-- table: quality -->\nold\n<!-- end of table -->\n\nrest\n")
    arguments = ["--page", str(tmp_path / "README.md"), "--records", str(tmp_path / "records")]
    return tmp_path, arguments


def test_table_is_written_and_a_changed_cell_is_seen(tables, place, capsys):
    folder, arguments = place
    assert tables.main([*arguments, "--take", f"quality={folder / 'quality.json'}"]) == 0
    text = (folder / "README.md").read_text()
    assert "| `WF low` | 16 | 1.75 ±0.10 | 0.500 ±0.100 | - | - | 4.32 |" in text
    assert text.startswith("# A\n") and text.endswith("\nrest\n") and "old" not in text
    assert tables.main([*arguments, "--check"]) == 0
    (folder / "README.md").write_text(text.replace("1.75", "1.95"))
    assert tables.main([*arguments, "--check"]) == 1
    assert "disagree" in capsys.readouterr().err


def test_records_are_kept_without_single_clips(tables, place):
    folder, arguments = place
    tables.main([*arguments, "--take", f"quality={folder / 'quality.json'}"])
    kept = json.loads((folder / "records" / "quality.json").read_text())
    assert "scores" not in kept and "by_speaker" not in kept["systems"]["WF:low"]
    assert kept["systems"]["WF:low"]["by_noise"] == {"rain": {"pesq_wb": 1.6}}


def test_the_summary_has_the_same_means(tables, place):
    folder, arguments = place
    (folder / "README.md").write_text("<!-- table: summary -->\n<!-- end of table -->\n")
    tables.main([*arguments, "--take", f"quality={folder / 'quality.json'}"])
    assert "| `WF low` | 16 | 96 | 1.75 | 0.500 | - | - |" in (folder / "README.md").read_text()


def test_a_new_record_keeps_what_only_the_earlier_one_has(tables, place):
    """Systems are measured in parts; a mark says which of ours are older, of others' nothing has changed."""
    folder, arguments = place
    tables.main([*arguments, "--take", f"quality={folder / 'quality.json'}"])
    new = json.loads((folder / "quality.json").read_text())
    entry = new["systems"].pop("WF:low")
    new["systems"] = {"rnnoise": entry | {"kind": "peer"}, "CAN:can-live": entry}
    new |= {"version": "1.3", "clean_in": {}}
    (folder / "new.json").write_text(json.dumps(new))
    tables.main([*arguments, "--take", f"quality={folder / 'new.json'}"])
    kept = json.loads((folder / "records" / "quality.json").read_text())
    assert list(kept["systems"]) == ["WF:low", "rnnoise", "CAN:can-live"]
    assert kept["kept"] == {"WF:low": {"version": "1.2"}} and kept["clean_in"]["WF:low"]["pesq_wb"]["mean"] == 4.321
    text = (folder / "README.md").read_text()
    assert "| `WF low` * |" in text and "| `CAN can-live` | 16" in text and "\\* An earlier run" in text
    new["material"]["clips"] = 8
    (folder / "new.json").write_text(json.dumps(new))
    tables.main([*arguments, "--take", f"quality={folder / 'new.json'}"])
    assert "WF low" not in (folder / "README.md").read_text(), "figures of other mixtures cannot stand beside these"


@pytest.mark.parametrize("name", ["harm", "bands", "full_band"])
def test_rows_of_other_systems_are_kept_if_they_are_of_the_same_mixtures(tables, tmp_path, name):
    def record(version, *systems, seed=1):
        rows = [{"case": "full", "system": system, "version": version} for system in systems]
        return {"version": version, "seed": seed, "clips": 3, "rows": rows}

    def take(new):
        (tmp_path / "new.json").write_text(json.dumps(new))
        tables.take(name, tmp_path / "new.json", tmp_path / "records")
        return json.loads((tmp_path / "records" / f"{name}.json").read_text())

    assert "kept" not in take(record("1", "WF:low", "rnnoise"))
    second = take(record("2", "CAN:can-small", "WF:low"))
    assert [(row["system"], row["version"]) for row in second["rows"]] == [
        ("WF:low", "2"),
        ("rnnoise", "1"),
        ("CAN:can-small", "2"),
    ]
    assert second["kept"] == {"rnnoise": {"version": "1"}}
    assert take(record("3", "WF:low"))["kept"] == {"rnnoise": {"version": "1"}, "CAN:can-small": {"version": "2"}}
    assert len(take(record("4", "WF:low", seed=2))["rows"]) == 1


def test_rows_of_other_cases_or_of_the_same_network_without_its_head_are_not_kept(tables, tmp_path):
    def take(*rows):
        record = {"seed": 1, "rows": [{"case": case, "system": system} for case, system in rows]}
        (tmp_path / "new.json").write_text(json.dumps(record))
        tables.take("full_band", tmp_path / "new.json", tmp_path / "records")
        kept = json.loads((tmp_path / "records" / "full_band.json").read_text())["rows"]
        return [row["system"] for row in kept]

    first = [("0 dB", system) for system in ("CAN:can-small", "CAN:can-small, one gain", "rnnoise")]
    assert take(*first) == ["CAN:can-small", "CAN:can-small, one gain", "rnnoise"]
    assert take(("0 dB", "CAN:can-small")) == ["CAN:can-small", "rnnoise"]
    assert take(("0 dB", "noisy"), ("0 dB", "WF:low")) == ["noisy", "WF:low"]
    assert take(("5 dB", "CAN:can-small")) == ["CAN:can-small"]


def test_a_card_has_its_network_beside_others(tables, tmp_path):
    entry = {"kind": "own", "latency_ms": 16.0, "mean": {"pesq_wb": mean(1.75)}, "by_snr": {"0": {"pesq_wb": 1.5}}}
    metrics = ("estoi", "si_sdr_db", "dnsmos_ovrl")
    for part in (entry["mean"], entry["by_snr"]["0"]):
        part |= {metric: mean(0.5) if part is entry["mean"] else 0.5 for metric in metrics}
    quality = {
        "material": {"clips": 9, "seconds": 6.0},
        "clean_in": {"CAN:mine": {"pesq_wb": mean(4.5), "estoi": mean(0.99)}},
        "systems": {"noisy": entry | {"kind": "noisy"}, "CAN:mine": entry, "rnnoise": entry | {"kind": "peer"}},
    }
    row = {"system": "CAN:mine", "pesq_wb": 2.0, "estoi": 0.75, "si_sdr_db": 9.0}
    bands = {"clips": 3, "every": 25, "rows": [row | {"case": "full"}, row | {"case": "3.4"}]}
    harm = {
        "version": "1.2",
        "rows": [
            {"case": "SNR 30 dB", "system": "CAN:mine", "figures": {"in_db": 30.0, "out_db": 31.25}, "holds": True},
            {"case": "held vowel", "system": "CAN:mine", "figures": {"median_db": -1, "worst_db": -4}, "holds": False},
            {"case": "held vowel", "system": "CAN:other", "figures": {"median_db": 0, "worst_db": 0}, "holds": True},
        ],
    }
    for name, record in {"quality": quality, "bands": bands, "harm": harm}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(record))
    marks = "".join(f"<!-- table: {name} -->\n<!-- end of table -->\n" for name in ("card", "bands", "harm", "harms"))
    text = tables.fill(marks, tmp_path, "mine")
    assert "| **mine** | 16 | 1.75 | 0.500 | 0.5 | 0.50 | 4.50, 0.990 |" in text and "At 0 dB: PESQ-wb 1.50;" in text
    assert "| PESQ-wb / eSTOI / SI-SDR dB | full | 3.4 kHz |" in text
    assert "| `CAN mine` | 2.00 / 0.750 / 9.0 | 2.00 / 0.750 / 9.0 |" in text
    other = "<!-- table: bands -->\nas it is\n<!-- end of table -->\n"
    assert tables.fill(other, tmp_path, "other") == other, "no figures of this network"
    assert "| 31.25 | -1 / -4 |" in text and "Misses: held vowel." in text
    assert "|  | SNR 30 dB | held vowel | misses |" in text and "| `CAN mine` | 31.25 | -1 / -4 | held vowel |" in text
    assert "| `CAN other` | - | 0 / 0 | none |" in text


def test_unknown_table_is_named(tables, tmp_path):
    with pytest.raises(SystemExit, match="'speed'"):
        tables.fill("<!-- table: speed -->\n<!-- end of table -->", tmp_path)


def test_committed_records_name_no_folder(tables):
    for path in tables.RECORDS.glob("*.json"):
        assert not re.search(r'"/\w+/', path.read_text(encoding="utf-8")), path.name


def test_the_band_above_8_khz_is_one_table_of_all_and_one_of_a_network(tables, tmp_path):
    def row(system: str, case: str, far: float) -> dict[str, float | str]:
        taken = {"attenuation_below_db": 20.0, "attenuation_above_db": far}
        return {"system": system, "case": case, "lsd_above_db": far, "fricatives_db": -0.25, **taken}

    systems = {"noisy": 9.0, "CAN:a, one gain": 5.0, "CAN:a": 4.0, "CAN:b": 3.0}
    rows = [row(system, case, far) for system, far in systems.items() for case in ("0 dB", "5 dB", "clean")]
    (tmp_path / "full_band.json").write_text(json.dumps({"clips": 12, "rows": rows}))
    marks = "".join(f"<!-- table: {name} -->\n<!-- end of table -->\n" for name in ("high", "above"))
    everything, card = tables.fill(marks, tmp_path, "a").split("<!-- table: above -->")
    line = "| `CAN a`, one gain | 5.0 | 5.0 | 20.0 | 5.0 | 5.00 | -0.25 |"
    assert line in everything and line in card
    assert "`CAN b`" in everything and "`CAN b`" not in card
    assert "12 clips" in card
    assert tables.fill("<!-- table: above -->\n<!-- end of table -->\n", tmp_path, "c").count("\n") == 2
