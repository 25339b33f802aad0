"""A few damaged inputs of every kind, always the same ones, and all that were ever found to be taken badly."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.fuzz import parsers

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="each input gets a forked process")
SEEDS = sorted(p for p in (Path(__file__).parent / "seeds").iterdir() if not p.name.startswith("."))
TARGETS = ("file", "suffix", "media", "pipe", "preset", "training", "model", "manifest")


@pytest.mark.parametrize("seed", SEEDS, ids=lambda path: path.name)
def test_what_was_once_taken_badly(seed, tmp_path):
    if seed.name.startswith(parsers.PREFIX):
        parsers.check(seed.read_bytes(), tmp_path / "input")
        return
    from tests.fuzz.targets import TARGETS as KINDS
    from tests.fuzz.targets import findings

    assert findings(KINDS[seed.name.split("-")[0]], seed.read_bytes()) == []


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_inputs(name):
    from tests.fuzz.targets import TARGETS as KINDS
    from tests.fuzz.targets import draw, findings

    assert set(KINDS) == set(TARGETS)
    if name == "media":
        pytest.importorskip("av", reason="phone recordings are read through PyAV")
    for number in range(12):
        assert findings(KINDS[name], draw(KINDS[name], number)) == [], f"input {number}"


def test_the_parsers_in_python_take_anything(tmp_path):
    """What a fuzzer led by coverage calls millions of times, on inputs drawn as the others are."""
    from tests.fuzz.targets import TARGETS as KINDS
    from tests.fuzz.targets import draw, sounds

    for data in (b"", *sounds(), *(draw(KINDS[name], number) for name in ("file", "model") for number in range(300))):
        parsers.check(data, tmp_path / "input")


def test_good_inputs_are_taken():
    from tests.fuzz.targets import TARGETS as KINDS
    from tests.fuzz.targets import findings, sounds

    assert len(sounds()) > 20
    assert findings(KINDS["file"], sounds()[0]) == []
