"""A file appears whole or not at all; what killed processes leave goes with the next, what living ones write stays."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from rtdenoise.disk import atomic
from rtdenoise.disk.atomic import PartFile, make_folder, remove_empty, require_folder, write_text, written
from rtdenoise.errors import AudioFileError

posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals and locks")
WRITER = """
import sys, time
from pathlib import Path
from rtdenoise.child.endings import end_in_order
from rtdenoise.disk.atomic import PartFile
end_in_order()
part = PartFile(Path(sys.argv[1]), overwrite=True)
part.file.write(b"half")
print("writing", flush=True)
time.sleep(60)
"""


def writer(path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "writing\n"
    return process


def hidden(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


@pytest.fixture(autouse=True)
def look_again(monkeypatch):
    """As a new process: no folder was looked at."""
    monkeypatch.setattr(atomic, "_swept", set())


@posix
def test_what_a_killed_process_left_goes_with_the_next_file_and_a_living_ones_stays(tmp_path):
    killed, living = writer(tmp_path / "a.wav"), writer(tmp_path / "b.wav")
    try:
        killed.kill()
        killed.communicate()
        assert len(hidden(tmp_path)) == 2
        with written(tmp_path / "c.txt") as file:
            file.write(b"whole")
        assert len(hidden(tmp_path)) == 1
    finally:
        living.kill()
        living.communicate()
    atomic.remove_abandoned(tmp_path)
    assert len(hidden(tmp_path)) == 1  # once per process
    atomic._swept.clear()
    write_text(tmp_path / "d.txt", "whole")
    assert hidden(tmp_path) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.txt", "d.txt"]


@posix
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGALRM", "SIGXCPU"])
def test_every_signal_but_sigkill_leaves_nothing(tmp_path, name):
    process = writer(tmp_path / "a.wav")
    process.send_signal(getattr(signal, name))
    process.communicate(timeout=30)
    assert process.returncode in (128 + getattr(signal, name), 1, -signal.SIGINT)
    assert list(tmp_path.iterdir()) == []


@posix
def test_files_of_other_machines_are_left_for_a_day(tmp_path):
    young, old = tmp_path / ".rtdenoise-0123456789ab.part", tmp_path / ".rtdenoise-ffffffff.0123456789ab.part"
    foreign = tmp_path / ".rtdenoise-notes"
    for path in (young, old, foreign):
        path.touch()
    os.utime(old, (time.time() - 100_000,) * 2)
    (tmp_path / ".rtdenoise-link.part").symlink_to(foreign)
    write_text(tmp_path / "a.txt", "")
    assert hidden(tmp_path) == [young.name, ".rtdenoise-link.part", foreign.name]


@posix
def test_a_file_is_locked_until_it_has_its_name(tmp_path):
    """Else somebody who looks for abandoned files takes it away between its last byte and its name."""
    look = textwrap.dedent(
        """
        import sys
        from pathlib import Path
        from rtdenoise.disk.atomic import remove_abandoned
        remove_abandoned(Path(sys.argv[1]))
        """
    )
    part = PartFile(tmp_path / "a.txt", overwrite=False)
    part.file.write(b"whole")
    replace = Path.replace

    def looked_at(source: Path, target: Path) -> Path:
        subprocess.run([sys.executable, "-c", look, str(tmp_path)], check=True)
        return replace(source, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "replace", looked_at)
        part.commit()
    assert (tmp_path / "a.txt").read_bytes() == b"whole"


@posix
def test_a_child_by_fork_does_not_take_away_its_parents_file(tmp_path):
    part = PartFile(tmp_path / "a.txt", overwrite=False)
    child = os.fork()
    if child == 0:
        atomic.remove_living()
        os._exit(0)
    os.waitpid(child, 0)
    part.commit()
    assert (tmp_path / "a.txt").is_file()


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "no space left on device; free some space, or name another disk"),
        (errno.EROFS, "read-only file system; name another place"),
    ],
)
def test_a_disk_that_refuses_is_one_line_with_a_remedy(tmp_path, number, remedy):
    with pytest.raises(AudioFileError, match=remedy), written(tmp_path / "a.txt") as file:
        file.write(b"half")
        raise OSError(number, os.strerror(number))
    assert list(tmp_path.iterdir()) == []


def test_names_that_cannot_be_and_links_that_lead_nowhere(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "dangling").symlink_to("real")
    (tmp_path / "lost").symlink_to(tmp_path / "no" / "where")
    for name, message in (
        ("x" * 300, "name too long; give it a shorter one"),
        ("loop", "the link leads in a circle"),
        ("lost", f"no folder {tmp_path / 'no'}"),
    ):
        with pytest.raises(AudioFileError, match=message):
            write_text(tmp_path / name, "")
    write_text(tmp_path / "dangling", "there now")
    assert (tmp_path / "real").read_text() == "there now" and (tmp_path / "dangling").is_symlink()


def test_a_folder_is_judged_before_and_cleared_after(tmp_path):
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "deep" / "er"):
        with pytest.raises(AudioFileError, match="file: is a file; name a folder"):
            require_folder(folder)
    require_folder(tmp_path / "new" / "er")
    assert not (tmp_path / "new").exists()
    made = make_folder(tmp_path / "new" / "er")
    remove_empty(made)
    assert not (tmp_path / "new").exists()
    made = make_folder(tmp_path / "new" / "er")
    (tmp_path / "new" / "kept").touch()
    remove_empty(made)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["kept"]
