"""The pictures of the documentation: made by their command, small, shown on a page, and nothing in them is fetched."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.text import Text

from benchmarks import pictures

ROOT = Path(__file__).resolve().parents[2]
MOST_BYTES = 500_000


def addresses(svg: str) -> set[str]:
    return set(re.findall(r"https?://[^\s\"'<>]+", re.sub(r"<!--.*?-->", "", svg)))


def test_a_terminal_becomes_a_picture_that_fetches_nothing(tmp_path):
    drawn = pictures.terminal(Text("level -20 dB", style="bold red"), "rtdenoise live", tmp_path / "a.svg", width=40)
    svg = drawn.read_text(encoding="utf-8")
    assert "level" in svg and "rtdenoise" in svg
    assert addresses(svg) == {"http://www.w3.org/2000/svg"} and "@font-face" not in svg


def test_the_command_makes_the_list_of_methods(tmp_path):
    command = [sys.executable, "-m", "benchmarks.pictures", "--only", "methods", "--to", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "methods.svg").read_text(encoding="utf-8") == (
        (ROOT / "docs/pictures/methods.svg").read_text(encoding="utf-8")
    ), "the list of methods has changed: python -m benchmarks.pictures --only methods"


def test_what_cannot_be_made_is_named_and_left(tmp_path, monkeypatch, capsys):
    def refuse(to, work):
        raise RuntimeError("no Chromium: apt install chromium")

    monkeypatch.setitem(pictures.MAKERS, "evaluate", refuse)
    assert pictures.main(["--only", "evaluate", "--to", str(tmp_path)]) == 1
    assert capsys.readouterr().err == "pictures: evaluate left as it is: no Chromium: apt install chromium\n"
    with pytest.raises(SystemExit):
        pictures.main(["--only", "nothing"])
    assert "nothing: known are live, methods" in capsys.readouterr().err


def test_every_picture_is_on_a_page_and_small():
    files = {path.name: path.stat().st_size for path in (ROOT / "docs/pictures").iterdir()}
    pages = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs").glob("*.md"))
    assert set(re.findall(r"[(\"]pictures/([^)\"]+)[)\"]", pages)) == set(files)
    assert sum(files.values()) < MOST_BYTES
