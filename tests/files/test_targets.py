"""Where the output may go: nothing overwritten unasked, nothing half-written, errors before anything is written."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
import soundfile

from rtdenoise.errors import AudioFileError, ConfigError
from rtdenoise.files import denoise_file


def test_nothing_is_overwritten_unless_asked(make):
    source = make()
    target = Path(denoise_file(source, method="bypass").target)
    before = target.read_bytes()
    with pytest.raises(AudioFileError, match="exists already; name another"):
        denoise_file(source, target, method="WF")
    assert target.read_bytes() == before
    denoise_file(source, target, method="WF", overwrite=True)
    assert target.read_bytes() != before


def test_overwriting_keeps_permissions_and_follows_links(make, tmp_path):
    source, real, link = make(), tmp_path / "real.wav", tmp_path / "link.wav"
    real.write_bytes(b"old")
    real.chmod(0o640)
    link.symlink_to(real)
    denoise_file(source, link, method="bypass", overwrite=True)
    assert link.is_symlink() and soundfile.info(real).frames == 16000
    assert real.stat().st_mode & 0o777 == 0o640


def test_new_files_have_ordinary_permissions(make):
    umask = os.umask(0o022)
    try:
        target = Path(denoise_file(make(), method="bypass").target)
    finally:
        os.umask(umask)
    assert target.stat().st_mode & 0o777 == 0o644


def test_output_equal_to_input_is_refused_by_any_name(make, tmp_path):
    source = make()
    before = source.read_bytes()
    (tmp_path / "soft.wav").symlink_to(source)
    os.link(source, tmp_path / "hard.wav")
    for name in ("noisy.wav", "./noisy.wav", "soft.wav", "hard.wav"):
        with pytest.raises(AudioFileError, match="input and output are the same"):
            denoise_file(source, f"{tmp_path}/{name}", method="bypass", overwrite=True)
    assert source.read_bytes() == before


def test_a_target_that_is_no_file_or_has_no_folder(make, tmp_path):
    source = make()
    (tmp_path / "folder.wav").mkdir()
    for target, message in [
        (tmp_path / "folder.wav", "is a folder"),
        (tmp_path / "missing" / "b.wav", "no folder"),
        (Path("/dev/null"), "not a regular file|names no audio format"),
        (Path("/proc/rtdenoise.wav"), "cannot be written"),
    ]:
        with pytest.raises(AudioFileError, match=message):
            denoise_file(source, target, method="bypass", overwrite=True)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs POSIX permissions")
def test_a_read_only_folder_and_an_unreadable_file(make):
    with tempfile.TemporaryDirectory() as name:  # not below tmp_path, which only its owner may enter
        folder = Path(name)
        source = folder / "a.wav"
        source.write_bytes(make().read_bytes())
        (folder / "secret.wav").write_bytes(source.read_bytes())
        (folder / "secret.wav").chmod(0)
        folder.chmod(0o555)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)  # permissions do not bind the superuser
        try:
            with pytest.raises(AudioFileError, match=r"b\.wav: cannot be written: permission denied"):
                denoise_file(source, folder / "b.wav", method="bypass")
            with pytest.raises(AudioFileError, match=r"secret\.wav: permission denied"):
                denoise_file(folder / "secret.wav", folder / "b.wav", method="bypass")
        finally:
            os.seteuid(user)
            folder.chmod(0o755)


def test_unknown_names_are_errors_before_anything_is_written(make):
    source = make()
    for wrong in (
        {"method": "XY"},
        {"preset": "loud"},
        {"config": {"nose": 1}},
        {"overrides": {"noise": {"traker": "x"}}},
        {"config": source.parent / "none.yaml"},
    ):
        with pytest.raises(ConfigError):
            denoise_file(source, **wrong)
    assert sorted(path.name for path in source.parent.iterdir()) == ["noisy.wav"]


def test_an_error_in_the_middle_leaves_nothing(make):
    source = make(n=10 * 16000)

    def give_up(done: float, _total: float) -> None:
        if done > 3.0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        denoise_file(source, method="bypass", progress=give_up)
    assert [path.name for path in source.parent.iterdir()] == ["noisy.wav"]
