"""The command line from folders to the page, and the page in a real browser."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.browser import is_too_wide, lengths_of_sounds, opened, play_the_first, widths_of_pictures
from tests.cli.conftest import call

__all__ = ["call"]

pytest.importorskip("pystoi", reason="package pystoi is not installed")


@pytest.fixture
def evaluated(call, library, tmp_path):
    """A small evaluation of two own methods and a program."""
    result = call(
        "evaluate", "--speech", library / "speech", "--noise", library / "noise", "--clips", 4, "--seconds", 2,
        "--snr", "0,10", "-a", "WF:low", "-a", "bypass", "--no-peers", "--peer", "copy=cp {in} {out}",
        "--peer", "broken=false {in} {out}", "--no-dnsmos", "--clean-clips", 1, "--page-clips", 1, "--jobs", 1,
        "-o", tmp_path / "out",
    )  # fmt: skip
    assert result.code == 0, result.err
    return tmp_path / "out", result


def test_everything_is_written_and_what_failed_is_said(evaluated):
    folder, result = evaluated
    assert "peer broken left out" in result.err and "ended with code 1" in result.err
    for name in ("evaluation.json", "scores.csv", "report.md", "delay.png", "snr.png", "index.html"):
        assert (folder / name).stat().st_size > 500, name
    record = json.loads((folder / "evaluation.json").read_text())
    assert list(record["systems"]) == ["noisy", "WF:low", "bypass", "copy"]
    assert record["systems"]["copy"]["us_per_10ms"] > 0
    assert "broken" in record["missing"]
    text = (folder / "report.md").read_text()
    assert all(title in text for title in ("by SNR", "by noise", "by voice", "Clean speech in", "Left out"))


def test_page_plays_in_a_browser(evaluated):
    folder, _ = evaluated
    with opened(folder / "index.html") as (page, problems):
        lengths, widths = lengths_of_sounds(page), widths_of_pictures(page)
        play_the_first(page)
        headings = page.eval_on_selector_all("h2", "all => all.map(h => h.textContent)")
        wide = is_too_wide(page)
    assert problems == []
    assert len(lengths) == 2 * 5 and all(length == pytest.approx(2.0, abs=0.01) for length in lengths)
    assert len(widths) == 4 and min(widths) > 300
    assert headings == ["Gained most", "Gained least"]
    assert not wide


def test_second_run_scores_nothing_and_compares(evaluated, call, library, monkeypatch):
    from rtdenoise.evaluate.measures import metrics

    folder, _ = evaluated
    arguments = [
        "evaluate", "--speech", library / "speech", "--noise", library / "noise", "--clips", 4, "--seconds", 2,
        "--snr", "0,10", "-a", "WF:low", "--no-peers", "--no-dnsmos", "--no-cost", "--page-clips", 0, "--jobs", 1,
        "-o", folder,
    ]  # fmt: skip
    old = folder.parent / "old.json"
    shutil.copy(folder / "evaluation.json", old)

    def forbidden(*_args, **_more):
        raise AssertionError("scored again")

    monkeypatch.setattr(metrics, "measure", forbidden)
    same = call(*arguments, "--compare", old)
    assert same.code == 0, same.err
    record = json.loads(old.read_text())
    for rows in record["scores"].values():
        rows["WF:low"]["si_sdr_db"] += 2.0
    old.write_text(json.dumps(record))
    worse = call(*arguments, "--compare", old, "--json")
    assert worse.code == 3
    assert "worse" in {change["verdict"] for change in json.loads(worse.out)["changes"]}


def test_voicebank_layout_gives_the_papers_table(call, tmp_path, speech):
    for kind, level in (("clean", 0.0), ("noisy", 0.01)):
        folder = tmp_path / "vb" / f"{kind}_testset_wav"
        folder.mkdir(parents=True)
        rng = np.random.default_rng(0)
        for name in ("p232_001", "p257_002"):
            soundfile.write(folder / f"{name}.wav", speech + level * rng.standard_normal(speech.size), 16000)
    more = ("--no-peers", "--no-dnsmos", "--no-cost", "--page-clips", 0, "--jobs", 1, "-a", "bypass")
    result = call("evaluate", "--voicebank", tmp_path / "vb", *more)
    assert result.code == 0, result.err
    assert "| method | PESQ | CSIG | CBAK | COVL | SSNR | STOI % |" in result.out
    assert "| p232 |" in result.out


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        ((), 1, "--clean and --noisy, or --speech and --noise, or --voicebank"),
        (("--clean", "a", "--noisy", "b"), 1, "a: no such folder"),
        (("--voicebank", "."), 1, "clean_testset_wav"),
        (("--clean", "a", "--noisy", "b", "--snr", "loud"), 2, "--snr loud"),
        (("--clean", "a", "--noisy", "b", "--compare", "old.json"), 1, "old.json: cannot be read"),
        (("--clean", "a", "--noisy", "b", "--clips", "0"), 1, "clips=0"),
        (("--clean", "a", "--noisy", "b", "--seed", "-1"), 1, "seed=-1 must be at least 0"),
        (("--clean", "a", "--noisy", "b", "--clean-clips", "-1"), 1, "clean_clips=-1"),
        (("--clean", "a", "--noisy", "b", "--page-clips", "-1"), 1, "page_clips=-1"),
        (("--clean", "a", "--noisy", "b", "--jobs", "0"), 1, "jobs=0 must be at least 1"),
        (("--clean", "a", "--noisy", "b", "--seconds", "nan"), 1, "seconds=nan"),
        (("--clean", "a", "--noisy", "b", "--snr", "0,inf"), 1, "snr=0,inf"),
    ],
)
def test_what_cannot_be_is_one_line(call, arguments, code, reason):
    result = call("evaluate", *arguments)
    assert result.code == code
    assert reason in result.err and len(result.err.strip().splitlines()) == 1


def test_silent_and_short_pairs_are_named_and_the_rest_goes_on(call, tmp_path, speech):
    for kind in ("clean", "noisy"):
        (tmp_path / kind).mkdir()
        for name, signal in (("good", speech), ("short", speech[:3000]), ("silent", 0 * speech)):
            soundfile.write(tmp_path / kind / f"{name}.wav", signal, 16000)
    more = ("--no-peers", "--no-dnsmos", "--no-cost", "--page-clips", 0, "--jobs", 1, "-a", "bypass")
    (tmp_path / "clean" / "memo.raw").write_bytes(bytes(100))
    result = call("evaluate", "--clean", tmp_path / "clean", "--noisy", tmp_path / "noisy", *more)
    assert result.code == 0
    assert f"rtdenoise: warning: {tmp_path / 'clean'}: 1 recording is left out (memo.raw)" in result.err
    assert "short: 0.19 s is too short" in result.err and "silent: the clean reference is silent" in result.err
    record = json.loads(Path("evaluation/evaluation.json").read_text())
    assert record["systems"]["noisy"]["mean"]["estoi"]["n"] == 1
    assert set(record["left_out"]) == {"short", "silent", str(tmp_path / "clean" / "memo.raw")}


def test_methods_that_all_fail_on_all_clips_are_an_error(call, tmp_path, speech, monkeypatch):
    from rtdenoise.evaluate.compared import systems

    def broken(_noisy):
        raise RuntimeError("it broke")

    monkeypatch.setattr(systems, "_own", lambda _spec, _rate_hz: broken)
    systems.enhancer.cache_clear()
    for kind in ("clean", "noisy"):
        (tmp_path / kind).mkdir()
        soundfile.write(tmp_path / kind / "one.wav", speech, 16000)
    more = ("--no-peers", "--no-dnsmos", "--no-cost", "--page-clips", 0, "--jobs", 1, "-a", "bypass")
    result = call("evaluate", "--clean", tmp_path / "clean", "--noisy", tmp_path / "noisy", *more)
    systems.enhancer.cache_clear()
    assert result.code == 1
    assert "bypass failed on each of 1 clips; the first: RuntimeError: it broke" in result.err
    assert not Path("evaluation/evaluation.json").exists()


def test_mixtures_take_labels_with_babble_and_tiers_of_a_manifest(library, tmp_path):
    from rtdenoise.errors import AudioFileError
    from rtdenoise.evaluate.session import Request, gather_clips

    rows = [
        f"{p.relative_to(library)},speech,{p.parent.name},{'A' if p.stem == '0' else 'C'}"
        for p in sorted(library.glob("speech/*/*.wav"))
    ]
    rows += [f"{p.relative_to(library)},noise,,A" for p in sorted(library.glob("noise/*/*.wav"))]
    manifest = library / "manifest.csv"
    manifest.write_text("\n".join(["path,kind,speaker,tier", *rows]))
    more = {"own": ("bypass",), "peers": (), "output": tmp_path, "speech": manifest, "noise": manifest, "count": 6}
    clips, _ = gather_clips(Request(**more, tiers=("A",), labels=("babble", "hiss")))
    assert [clip.noise for clip in clips] == ["babble", "hiss"] * 3
    babble = clips[0].recipe
    assert len(babble.noise) >= 4 and all("speech" in path for path in babble.noise)
    assert all(path.endswith("0.wav") for clip in clips for path in clip.recipe.speech)
    with pytest.raises(AudioFileError, match="no audio"):
        gather_clips(Request(**more, tiers=("B",)))


def test_without_matplotlib_and_pesq_the_rest_is_measured_and_written(call, library, tmp_path, monkeypatch):
    from rtdenoise.evaluate.measures import metrics
    from rtdenoise.evaluate.report import drawing

    there = metrics.find_spec
    for module, package in ((metrics, "pesq"), (drawing, "matplotlib")):
        monkeypatch.setattr(module, "find_spec", lambda name, package=package: None if name == package else there(name))
    result = call(
        "evaluate", "--speech", library / "speech", "--noise", library / "noise", "--clips", 2, "--seconds", 2,
        "-a", "bypass", "--no-peers", "--no-dnsmos", "--clean-clips", 0, "--page-clips", 1, "--jobs", 1, "-o", tmp_path,
    )  # fmt: skip
    assert result.code == 0, result.err
    lines = result.err.splitlines()
    assert sum("pip install 'rtdenoise[pesq]' (it needs a C compiler)" in line for line in lines) == 1
    assert sum("pip install 'rtdenoise[plots]'; the report comes without" in line for line in lines) == 1
    measured = json.loads((tmp_path / "evaluation.json").read_text())["systems"]["bypass"]["mean"]
    assert {"estoi", "si_sdr_db"} <= set(measured) and "pesq_wb" not in measured
    page = (tmp_path / "index.html").read_text()
    assert "<audio" in page and "<img" not in page and not list(tmp_path.rglob("*.png"))
