"""What a picture shows is where and how loud it was, for short and for long recordings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from matplotlib.figure import Figure

from rtdenoise import plot
from rtdenoise.errors import AudioFileError

RATE = 8000


def tone(path: Path, seconds: float, start: float, stop: float, hz: float, channels: int = 2) -> Path:
    times = np.arange(round(seconds * RATE)) / RATE
    signal = 0.5 * np.sin(2 * np.pi * hz * times) * ((times >= start) & (times < stop))
    soundfile.write(path, np.tile(signal[:, None], (1, channels)), RATE, subtype="FLOAT")
    return path


@pytest.mark.parametrize("scale", [1, 100])
def test_a_tone_is_seen_at_its_time_frequency_and_level(tmp_path, scale):
    seen = plot._overview(tone(tmp_path / "a.wav", 4.0 * scale, 1.0 * scale, 2.0 * scale, 1500.0))

    columns, rows = seen.power.shape
    assert columns <= 1200 and rows <= 320 and len(seen.level) <= 1200
    power_db = plot._decibels(seen.power)
    loud = np.flatnonzero(power_db.max(axis=1) > -12.0)
    assert (loud[0] / columns, loud[-1] / columns) == pytest.approx((0.25, 0.5), abs=0.01)
    middle = power_db[3 * columns // 8]
    assert middle.argmax() / rows == pytest.approx(1500 / 4000, abs=0.01)
    assert middle.max() == pytest.approx(20 * np.log10(0.5), abs=1.0)
    level_db = plot._decibels(seen.level)
    n = len(level_db)
    assert level_db[n // 4 + 2 : n // 2 - 2] == pytest.approx(20 * np.log10(0.5) - 3.01, abs=0.1)
    assert level_db[: n // 4 - 1].max() < -100 and level_db[n // 2 + 1 :].max() < -100


def test_the_drawing_has_both_spectrograms_on_one_scale_and_the_gain(tmp_path):
    noisy = plot._overview(tone(tmp_path / "a.wav", 2.0, 0.0, 2.0, 1000.0))
    soundfile.write(tmp_path / "b.wav", 0.1 * soundfile.read(tmp_path / "a.wav")[0], RATE, subtype="FLOAT")
    clean = plot._overview(tmp_path / "b.wav")

    figure = plot._draw(noisy, clean, ("a.wav", "$b$.wav (WF)"))

    assert isinstance(figure, Figure)
    before, after, level, gain = figure.axes[:4]
    assert before.images[0].get_clim() == after.images[0].get_clim()
    assert [axis.get_ylabel() for axis in (before, after, level, gain)] == ["kHz", "kHz", "dBFS", "dB"]
    assert gain.get_xlabel() == "s" and gain.get_xlim() == (0.0, 2.0)
    assert gain.lines[-1].get_ydata() == pytest.approx(-20.0, abs=0.05)
    assert after.get_title(loc="left") == r"\$b\$.wav (WF)"


def test_a_failed_picture_leaves_nothing(tmp_path, monkeypatch):
    source = tone(tmp_path / "a.wav", 0.5, 0.0, 0.5, 1000.0)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Figure, "savefig", full)
    with pytest.raises(AudioFileError, match=r"x\.png: cannot be written: no space left"):
        plot.plot_pair(source, source, tmp_path / "x.png", title="WF")
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


def test_nothing_to_draw_and_a_taken_place(tmp_path):
    source = tone(tmp_path / "a.wav", 0.5, 0.0, 0.5, 1000.0)
    empty = tone(tmp_path / "empty.wav", 0.0, 0.0, 0.0, 1000.0)
    with pytest.raises(AudioFileError, match="has no samples; there is nothing to draw"):
        plot.plot_pair(empty, empty, tmp_path / "x.png", title="WF")
    (tmp_path / "x.png").write_text("mine")
    with pytest.raises(AudioFileError, match="exists already"):
        plot.plot_pair(source, source, tmp_path / "x.png", title="WF")
    assert (tmp_path / "x.png").read_text() == "mine"
