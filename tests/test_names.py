"""Names that are no text, or that a terminal would obey, as people and programs get them."""

from __future__ import annotations

import json
import os
import sys

import pytest

from rtdenoise.disk.names import as_text, for_library, is_folder, is_there, plain, shown

LATIN_1 = "m\udce9moire.wav"  # how Python gives the bytes m, 0xe9, moire.wav


@pytest.mark.parametrize(
    ("name", "line", "text"),
    [
        ("plain ü 録音.wav", "plain ü 録音.wav", "plain ü 録音.wav"),
        (LATIN_1, r"m\xe9moire.wav", r"m\xe9moire.wav"),
        ("two\nlines\r.wav", r"two\nlines\r.wav", "two\nlines\r.wav"),
        ("\x1b[31mred\u2028.wav", r"\x1b[31mred\u2028.wav", "\x1b[31mred\u2028.wav"),
        ("lone\ud800.wav", r"lone\ud800.wav", r"lone\ud800.wav"),
    ],
)
def test_every_name_can_be_shown_and_encoded(name, line, text):
    assert (shown(name), as_text(name)) == (line, text)
    assert shown(name).encode().decode() == line


def test_reports_are_json_that_strict_readers_take():
    found = plain({LATIN_1: [LATIN_1, 1, None, (LATIN_1, 2.5)]})
    json.dumps(found, ensure_ascii=False).encode()  # a lone surrogate would raise here, and in other languages
    assert found == {as_text(LATIN_1): [as_text(LATIN_1), 1, None, [as_text(LATIN_1), 2.5]]}


@pytest.mark.skipif(sys.platform == "win32", reason="names are text there")
def test_libraries_get_the_bytes_of_the_disk():
    assert for_library(LATIN_1) == os.fsencode(LATIN_1)


def test_names_that_no_file_can_have_are_not_there(tmp_path):
    for name in ("x" * 5000, "nul\0"):
        assert not is_there(name) and not is_folder(name)
    assert is_there(tmp_path) and is_folder(tmp_path)
