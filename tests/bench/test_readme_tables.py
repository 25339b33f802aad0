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
    assert "| `WF low` | 16 | 1.75 | 0.500 | - | - |" in (folder / "README.md").read_text()


def test_unknown_table_is_named(tables, tmp_path):
    with pytest.raises(SystemExit, match="'speed'"):
        tables.fill("<!-- table: speed -->\n<!-- end of table -->", tmp_path)


def test_committed_records_name_no_folder(tables):
    for path in tables.RECORDS.glob("*.json"):
        assert not re.search(r'"/\w+/', path.read_text(encoding="utf-8")), path.name
