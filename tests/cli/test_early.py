"""Words of a command line that start the audio process before they are parsed."""

from __future__ import annotations

import pytest

from rtdenoise.cli.live import early


@pytest.mark.parametrize(
    ("words", "live"),
    [
        ("live", True),
        ("live --method WF --record takes", True),
        ("--input mic --method WF", True),
        ("-f Mic:usb -o out.wav", True),
        ("-f talk.flac --output speaker", True),
        ("live --help", False),
        ("live --output virtual-mic", False),
        ("-f noisy.wav -o clean.wav", False),
        ("-f live -o clean.wav", False),
        ("devices", False),
        ("", False),
    ],
)
def test_only_what_means_a_session_starts_a_process(words, live):
    assert early.is_live(words.split()) == live


def test_what_nobody_took_ends(monkeypatch):
    monkeypatch.setattr(early, "_begun", [])
    early.begin(["live"])
    process = early._begun[0]._process
    assert process is not None and process.alive
    early.end()
    assert not process.alive and early._begun == []


def test_what_was_begun_is_taken_once(monkeypatch):
    monkeypatch.setattr(early, "_begun", [])
    early.begin(["live"])
    begun = early._begun[0]
    assert early.take() is begun and early._begun == []
    begun.close()
