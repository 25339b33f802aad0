"""The page to listen to: made by its command and played in a real browser; and the clips of the documentation."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.browser import is_too_wide, lengths_of_sounds, opened, play_the_first, widths_of_pictures

ROOT = Path(__file__).resolve().parents[2]
MOST_BYTES = 1_000_000


def test_the_command_makes_one_page_that_plays(tmp_path):
    pytest.importorskip("matplotlib", reason="pictures need matplotlib")
    command = [sys.executable, "-m", "benchmarks.listening", str(tmp_path), "--seconds", "2", "--snr", "0"]
    command += ["--noises", "fan,keyboard", "--systems", "WF:balanced,bypass:balanced"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]
    with opened(tmp_path / "index.html") as (page, problems):
        lengths, widths = lengths_of_sounds(page), widths_of_pictures(page)
        play_the_first(page)
        headings = page.eval_on_selector_all("h2", "all => all.map(h => h.textContent)")
        wide = is_too_wide(page)
    assert problems == [] and not wide
    assert lengths == pytest.approx([2.0] * 6, abs=0.05) and min(widths) > 300
    assert headings == ["fan, 0 dB", "keyboard, 0 dB"]


def test_an_unknown_noise_is_named():
    command = [sys.executable, "-m", "benchmarks.listening", "x", "--noises", "thunder"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2 and "thunder: known are fan, babble, keyboard" in done.stderr


def test_the_clips_of_the_documentation_are_there_small_and_linked():
    text = (ROOT / "docs/listening.md").read_text(encoding="utf-8")
    linked = set(re.findall(r"\]\((audio/[^)]+)\)", text))
    assert linked == {f"audio/{path.name}" for path in (ROOT / "docs/audio").iterdir()}
    assert sum(path.stat().st_size for path in (ROOT / "docs/audio").iterdir()) < MOST_BYTES
    for name in sorted(linked):
        if name.endswith(".ogg"):
            sound, rate = soundfile.read(ROOT / "docs" / name)
            assert len(sound) / rate == pytest.approx(4.5, abs=0.05), name
            assert 0.001 < np.std(sound) < 0.5, name
