"""Word errors: what counts, how sure it is, and whole evaluations with programs that hear."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

pytest.importorskip("jiwer", reason="needs pip install 'rtdenoise[asr]'")

from rtdenoise.errors import ConfigError, MissingExtraError
from rtdenoise.evaluate.mixing import Source
from rtdenoise.evaluate.words.errors import Count, count, difference_interval, plain_words, rate_interval
from rtdenoise.evaluate.words.recognisers import parse_recogniser
from rtdenoise.evaluate.words.session import Request, evaluate_words
from rtdenoise.evaluate.words.utterances import find_utterances, plan, render
from tests.evaluate.conftest import speech_like

SAID = ["open the door", "close the window", "no", "where is it"]


@pytest.fixture
def material(tmp_path: Path) -> Path:
    """A manifest of four utterances by two speakers, whose louder half tells what they are, and two noises."""
    rng, rows = np.random.default_rng(5), []
    for i, text in enumerate(SAID):
        soundfile.write(tmp_path / f"{i}.wav", speech_like(rng, 1.0 + 0.1 * i), 16000)
        rows.append({"path": f"{i}.wav", "kind": "speech", "split": "dev", "speaker": f"s{i % 2}", "text": text})
    rows.append({"path": "0.wav", "kind": "speech", "split": "dev", "speaker": "s3", "text": ""})
    rows.append({"path": "0.wav", "kind": "speech", "split": "train", "speaker": "s3", "text": "not this one"})
    for label in ("hiss", "hum"):
        soundfile.write(tmp_path / f"{label}.wav", 0.1 * rng.standard_normal(32000), 16000)
        rows.append({"path": f"{label}.wav", "kind": "noise", "split": "dev", "label": label})
    names = ["path", "kind", "split", "speaker", "label", "text"]
    with (tmp_path / "manifest.csv").open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, names)
        writer.writeheader()
        writer.writerows(rows)
    return tmp_path / "manifest.csv"


@pytest.fixture
def listener(tmp_path: Path) -> str:
    """A program that hears all of an utterance of this length where it is clean, and one word too few in noise."""
    program = tmp_path / "listen.py"
    program.write_text(
        "import sys, wave, array\n"
        "with wave.open(sys.argv[1]) as file:\n"
        "    samples = array.array('h', file.readframes(file.getnframes()))\n"
        f"said = {SAID!r}[round((len(samples) / 16000 - 1.0) / 0.1)].split()\n"
        "quiet = sum(abs(one) < 30 for one in samples) > 0.2 * len(samples)\n"
        "print(' '.join(said if quiet else said[:-1]))\n"
    )
    return f"mine={sys.executable} {program} {{in}}"


@pytest.mark.parametrize(
    ("said", "heard", "words", "errors"),
    [
        ("Don\u2019t, stop!", "don't stop", 2, 0),
        ("one two three", "one too", 3, 2),
        ("a", "a b c", 1, 2),
        ("a b", "", 2, 2),
        ("\u2014", "noise", 0, 1),
    ],
)
def test_words_that_are_wrong_left_out_or_put_in_count(said, heard, words, errors):
    assert count(said, heard) == Count(words, errors)


def test_case_and_punctuation_do_not():
    assert plain_words(" \u2018Well\u2019\u2014HE said: 3_4 o'clock?! ") == "well he said 3 4 o'clock"


def test_intervals_hold_the_rate_and_differences_are_in_pairs():
    rng = np.random.default_rng(1)
    worse = [Count(10, int(errors)) for errors in rng.integers(0, 6, 200)]
    better = [Count(c.words, max(0, c.errors - 1)) for c in worse]
    rate = rate_interval(worse)
    assert rate["rate"] == pytest.approx(np.mean([c.errors for c in worse]) / 10)
    assert rate["low"] < rate["rate"] < rate["high"] and (rate["words"], rate["n"]) == (2000, 200)
    apart = difference_interval(better, worse)
    assert -0.1 < apart["low"] < apart["rate"] < apart["high"] < 0.0
    assert apart["high"] - apart["low"] < (rate["high"] - rate["low"]) / 2
    assert difference_interval(worse, worse)["high"] == 0.0


def test_a_manifest_gives_rows_of_speech_with_a_transcript(material):
    found = find_utterances(material, "dev")
    assert [one.text for one in found] == SAID and found[0].speaker == "s0" and Path(found[0].path).is_file()
    assert [one.text for one in find_utterances(material)] == [*SAID, "not this one"]
    with pytest.raises(ConfigError, match="columns for it: text, transcript, sentence"):
        find_utterances(material, "test")
    with pytest.raises(ConfigError, match="need a manifest"):
        find_utterances(material.parent)


def test_mixtures_take_turns_and_are_whole_utterances_at_their_ratio(material):
    utterances = find_utterances(material, "dev")
    noise = [Source(str(material.parent / f"{label}.wav"), label) for label in ("hiss", "hum")]
    mixtures = plan(utterances, noise, count=8, seed=3, snrs_db=(0.0, 10.0))
    assert mixtures == plan(utterances, noise, count=8, seed=3, snrs_db=(0.0, 10.0))
    assert {m.utterance for m in mixtures[:4]} == set(utterances)
    assert mixtures[0].utterance.speaker != mixtures[1].utterance.speaker
    clean, noisy = render(mixtures[0])
    assert clean.shape == noisy.shape == (soundfile.info(mixtures[0].utterance.path).frames,)
    assert np.std(noisy - clean) > 0.5 * np.std(clean)
    with pytest.raises(ConfigError, match="unknown noise storm; known: hiss, hum"):
        plan(utterances, noise, count=1, seed=1, snrs_db=(0.0,), labels=("storm",))


def test_a_program_hears_what_methods_do(material, listener, tmp_path):
    request = Request(
        speech=material,
        noise=material,
        recognisers=(parse_recogniser(listener),),
        own=("WF:low", "bypass"),
        output=tmp_path / "out",
        split="dev",
        snrs_db=(5.0,),
    )
    answer = evaluate_words(request)
    noisy, clean = (answer.record["word_errors"]["mine"][condition] for condition in ("noisy", "clean"))
    assert noisy["noisy"]["rate"] == noisy["bypass"]["rate"] == pytest.approx(4 / 10)
    assert clean["noisy"]["rate"] == 0.0 and noisy["bypass"]["over_unprocessed"]["high"] == 0.0
    assert noisy["noisy"]["by_snr"]["5"]["n"] == 4 and (noisy["noisy"]["words"], noisy["noisy"]["n"]) == (10, 4)
    assert [len(one["heard"]["noisy"]) for one in answer.record["utterances"]] == [3] * 4
    assert "| unprocessed | 40.0 (" in answer.markdown
    assert json.loads((tmp_path / "out/words.json").read_text(encoding="utf-8"))["schema"] == "rtdenoise.words/1"
    (tmp_path / "listen.py").write_text("raise SystemExit(1)")  # what was heard is kept
    assert evaluate_words(request).record["word_errors"] == answer.record["word_errors"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nobody", "give pocketsphinx, or NAME=command with {in}"),
        ("mine=listen", "with {in} for a WAV file"),
        ("mine=no-such-program {in}", "there is no program 'no-such-program'"),
        ("mine='listen {in}", "No closing quotation"),
    ],
)
def test_what_is_no_recogniser_is_said(text, message):
    with pytest.raises(ConfigError, match=message):
        parse_recogniser(text)


def test_pocketsphinx_hears_with_the_model_of_its_wheel(tmp_path):
    pytest.importorskip("pocketsphinx", reason="needs pip install 'rtdenoise[asr]'")
    try:
        command = ["espeak-ng", "-v", "en-us", "-s", "130", "-w", str(tmp_path / "said.wav"), "one two three four five"]
        subprocess.run(command, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("needs the program espeak-ng, which says something")
    from rtdenoise.evaluate.signals import read_mono

    hear = parse_recogniser("pocketsphinx").hear
    signal = read_mono(tmp_path / "said.wav").astype(np.float32)
    first = hear(signal)
    assert count("one two three four five", first).errors <= 2
    hear(0.5 * np.random.default_rng(0).standard_normal(32000).astype(np.float32))
    assert hear(signal) == first, "what was heard before must not matter"


def test_without_its_package_pocketsphinx_is_named_with_its_command(monkeypatch):
    monkeypatch.setattr("rtdenoise.evaluate.words.recognisers.find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'rtdenoise\[asr\]'"):
        parse_recogniser("pocketsphinx")


def run(*arguments) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "rtdenoise", "evaluate", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_command(material, listener, tmp_path):
    where = ["--speech", material, "--noise", material, "--split", "dev", "-o", tmp_path / "out"]
    done = run("--wer", "--asr", listener, *where, "-a", "bypass", "--snr", "0", "--json", "-q")
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)["word_errors"]["mine"]["clean"]) == {"noisy", "bypass"}
    for arguments, text in (
        (["--wer", "--asr", listener, "--speech", material], "--wer needs --speech manifest.csv"),
        (["--asr", listener, *where], "--asr is for --wer"),
        (["--wer", "--asr", listener, "--asr", listener, *where], "none twice"),
    ):
        wrong = run(*arguments)
        assert wrong.returncode != 0 and text in wrong.stderr and "Traceback" not in wrong.stderr
