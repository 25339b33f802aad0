"""What the samples of a file or pipe say about a mistake stands in its report."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from rtdenoise.errors import AudioFileError
from rtdenoise.files import denoise_file, denoise_folder
from tests.files.conftest import voice


@pytest.mark.parametrize("method", ["WF", "CAN"])
def test_int16_values_in_a_float_file_are_said_once(make, caplog, method):
    source = make(samples=voice(40000, 16000, 1) * 32768, subtype="FLOAT")
    report = denoise_file(source, method=method, preset="low", overrides={"can": {"model": "can-small"}})
    remark = f"{source}: the samples are floats that look like 16-bit integers, and full scale is 1.0; divide"
    assert [text.startswith(remark) for text in report.warnings] == [True]
    assert caplog.text.count("divide them by 32768") == 1


def test_each_file_of_a_folder_has_its_own_remarks(make, tmp_path):
    make("in/good.wav")
    make("in/loud.wav", samples=voice(16000, 16000, 1) * 32768, subtype="FLOAT")
    make("in/more.wav")
    report = denoise_folder(tmp_path / "in", preset="low", jobs=1)
    assert [len(item.warnings) for item in report.files] == [0, 1, 0]


def test_a_downmix_to_silence_is_said(make):
    mono = voice(16000, 16000, 1)
    source = make(samples=np.hstack([mono, -mono]))
    report = denoise_file(source, preset="low", overrides={"channel_mode": "downmix"})
    assert "the channels cancel each other in the downmix (opposite phases)" in report.warnings[0]
    assert not soundfile.read(report.target)[0].any()


def test_python_names_the_keyword_that_replaces_a_file(make, tmp_path):
    source = make()
    (tmp_path / "there.wav").write_bytes(b"x")
    with pytest.raises(AudioFileError, match="exists already; name another, or replace it"):
        denoise_file(source, tmp_path / "there.wav")
