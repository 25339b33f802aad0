"""Entries of the cache: whole, trusted and bounded, and never a reason to stop."""

from __future__ import annotations

import logging
import os
import pickle
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from rtdenoise.cache import entries, folders

CONTENT = bytes(range(256)) * 40
posix = pytest.mark.skipif(not hasattr(os, "geteuid"), reason="users and modes are POSIX's")


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """A folder of its own that the user has named, and a temporary folder beside it."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    monkeypatch.setenv("RTDENOISE_CACHE_DIR", str(tmp_path / "named"))
    monkeypatch.setattr(entries, "_this", entries._ThisProcess())
    return tmp_path / "named"


def the_entry(folder: Path) -> Path:
    (path,) = folder.glob("*.kept")
    return path


def test_what_was_kept_is_found_under_its_key_only(folder):
    assert entries.find("a") is None
    assert entries.keep("a", CONTENT)
    assert entries.find("a") == CONTENT
    assert entries.find("b") is None
    assert entries.keep("a", b"") and entries.find("a") == b""
    assert [path.suffix for path in folder.iterdir()] == [".kept"]


def test_every_truncation_and_every_changed_byte_is_a_miss(folder):
    content = CONTENT[:40]
    entries.keep("a", content)
    path = the_entry(folder)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert entries.find("a") is None, length
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert entries.find("a") is None, place
    path.write_bytes(bytes(len(whole)))
    assert entries.find("a") is None
    path.write_bytes(whole + b"\0")
    assert entries.find("a") is None
    assert entries.keep("a", content) and entries.find("a") == content


def test_an_entry_in_the_place_of_another_is_a_miss(folder):
    entries.keep("a", b"of a")
    of_a = the_entry(folder).read_bytes()
    the_entry(folder).unlink()
    entries.keep("b", b"of b")
    the_entry(folder).write_bytes(of_a)
    assert entries.find("b") is None


@posix
@pytest.mark.parametrize("other", ["folder", "pipe", "dangling link", "link to itself", "device"])
def test_what_is_no_file_is_a_miss_and_stops_nobody(folder, other):
    entries.keep("a", CONTENT)
    path = the_entry(folder)
    path.unlink()
    if other == "folder":
        path.mkdir()
    elif other == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to({"dangling link": "nowhere", "link to itself": path.name, "device": "/dev/zero"}[other])
    assert entries.find("a") is None
    assert entries.keep("a", CONTENT)
    assert entries.find("a") == CONTENT


@posix
@pytest.mark.parametrize("mode", [0o666, 0o620, 0o602])
def test_files_that_others_can_write_are_not_used_and_it_is_said_once(folder, caplog, mode):
    class Harm:
        def __reduce__(self):
            return os.mkdir, (str(folder / "harm"),)

    entries.keep("a", pickle.dumps(Harm()))
    the_entry(folder).chmod(mode)
    assert [entries.find("a"), entries.find("a")] == [None, None]
    (record,) = caplog.records
    assert "others can change it, and is not used; set RTDENOISE_CACHE_DIR to a folder of your own" in record.message


@posix
@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() != 0, reason="only root can give files away")
def test_files_of_another_user_are_not_used(folder):
    entries.keep("a", CONTENT)
    os.chown(the_entry(folder), 65534, -1)
    assert entries.find("a") is None
    assert entries.keep("a", CONTENT) and entries.find("a") == CONTENT


AS_NOBODY = """
import os, sys
import platformdirs  # before the change of user, who may not read the environment that holds it
from rtdenoise.cache import entries, folders
if sys.argv[1] == "home":  # without one: the variables are gone, the user is not one who has files
    os.environ.pop("HOME", None)
os.setgroups([]); os.setgid(65534); os.setuid(65534)
print(entries.find("a"), entries.keep("b", b"mine"), entries.find("b"), entries.writable())
"""


def as_nobody(*arguments: str, **variables: str | None) -> subprocess.CompletedProcess[str]:
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    environment = {name: value for name, value in (os.environ | variables).items() if value is not None}
    command = [sys.executable, "-c", AS_NOBODY, *arguments]
    return subprocess.run(
        command, env=environment, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False
    )


@pytest.fixture
def common(tmp_path):
    """A folder that every user can reach and write."""
    for path in (tmp_path, *tmp_path.parents):
        if path.stat().st_uid == (os.geteuid() if hasattr(os, "geteuid") else -1) and path != Path("/"):
            path.chmod(path.stat().st_mode | 0o055)
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o777)
    return tmp_path / "shared"


@posix
def test_users_who_share_a_folder_do_not_stop_each_other(folder, common, monkeypatch):
    """What root has kept, others may read; each writes entries of its own."""
    monkeypatch.setenv("RTDENOISE_CACHE_DIR", str(common))
    entries.keep("a", b"root's")
    entries.keep("b", b"root's")
    done = as_nobody("", RTDENOISE_CACHE_DIR=str(common), TMPDIR=str(common))
    assert done.stdout.split() == ['b"root\'s"', "True", "b'mine'", str(common)], done.stderr
    assert entries.find("b") == b"root's", "another's is neither read nor replaced"


@posix
def test_without_a_home_a_private_temporary_folder_is_used(common):
    variables = {"HOME": None, "XDG_CACHE_HOME": None, "RTDENOISE_CACHE_DIR": None, "NUMBA_CACHE_DIR": None}
    done = as_nobody("home", TMPDIR=str(common), **variables)
    assert done.stdout.split()[1:3] == ["True", "b'mine'"], done.stderr
    assert done.stderr == ""
    private = common / "rtdenoise-65534"
    assert stat.S_IMODE(private.stat().st_mode) == 0o700 and private.stat().st_uid == 65534
    assert as_nobody("home", TMPDIR=str(common), **variables).stdout.split()[2] == "b'mine'"


@posix
@pytest.mark.parametrize("trap", ["another's folder", "open folder", "link"])
def test_a_temporary_folder_that_somebody_has_prepared_is_not_used(common, trap):
    private = common / "rtdenoise-65534"
    if trap == "link":
        (common / "elsewhere").mkdir(mode=0o700)
        os.chown(common / "elsewhere", 65534, -1)
        private.symlink_to("elsewhere")
    else:
        private.mkdir()
        private.chmod(0o777)
        if trap == "open folder":
            os.chown(private, 65534, -1)
    variables = {"HOME": None, "XDG_CACHE_HOME": None, "RTDENOISE_CACHE_DIR": None, "NUMBA_CACHE_DIR": None}
    done = as_nobody("home", TMPDIR=str(common), **variables)
    assert done.stdout.split() == ["None", "False", "None", "None"], done.stderr
    assert done.stderr.count("\n") == 1 and "set RTDENOISE_CACHE_DIR to a folder that you can write" in done.stderr


def test_a_named_folder_that_is_a_file_is_said_once_and_another_one_used(folder, caplog):
    folder.write_text("")
    assert entries.keep("a", CONTENT) and entries.keep("b", CONTENT)
    assert entries.find("a") == CONTENT
    assert folder.read_text() == ""
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert f"RTDENOISE_CACHE_DIR: cannot write to {folder}; compiled code is kept in" in record.message


@pytest.mark.parametrize("named", ["named", "below/named"])
def test_when_nothing_can_be_kept_it_is_said_once_with_the_remedy(folder, tmp_path, monkeypatch, caplog, named):
    (tmp_path / named.split("/", maxsplit=1)[0]).write_text("")
    monkeypatch.setenv("RTDENOISE_CACHE_DIR", str(tmp_path / named))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    assert not entries.keep("a", CONTENT) and not entries.keep("b", CONTENT)
    assert entries.find("a") is None and entries.writable() is None
    (record,) = caplog.records
    assert "every start compiles again; set RTDENOISE_CACHE_DIR to a folder that you can write" in record.message


FULL = """
import resource
from rtdenoise.cache import entries
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
print(entries.keep("a", bytes(1000)), entries.find("a"))
"""


@posix
def test_a_full_disk_leaves_nothing_half_written(folder, tmp_path):
    environment = os.environ | {"TMPDIR": str(tmp_path / "temporary")}
    done = subprocess.run([sys.executable, "-c", FULL], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "False None\n", done.stderr
    assert done.stderr.count("\n") == 1 and "RTDENOISE_CACHE_DIR" in done.stderr
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_new_folder_starts_empty_after_another_was_replaced(folder, tmp_path, monkeypatch):
    """A temporary folder belongs to one first choice: whoever names a fresh one has nothing there yet."""
    folder.write_text("")
    entries.keep("a", CONTENT)
    monkeypatch.setenv("RTDENOISE_CACHE_DIR", str(tmp_path / "other"))
    assert entries.find("a") is None


def test_the_folder_is_the_users_choice_then_the_systems(monkeypatch, tmp_path):
    monkeypatch.setenv("RTDENOISE_CACHE_DIR", str(tmp_path / "ours"))
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "numba's"))
    assert folders.chosen() == tmp_path / "ours"
    monkeypatch.setenv("RTDENOISE_CACHE_DIR", "")
    assert folders.chosen() == tmp_path / "numba's" / "rtdenoise"
    monkeypatch.delenv("NUMBA_CACHE_DIR")
    if sys.platform == "linux":
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
        assert folders.chosen() == tmp_path / "xdg" / "rtdenoise"
        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.setenv("HOME", str(tmp_path))
        assert folders.chosen() == tmp_path / ".cache" / "rtdenoise"


def test_what_is_not_used_for_long_goes_and_nothing_else(folder):
    for key in ("old", "used", "new"):
        entries.keep(key, CONTENT)
    by_key = {key: folder / entries._name(key, folders.trusted_users()[0]) for key in ("old", "used", "new")}
    strangers = [folder / "notes.kept", folder / "x.new"]
    unfinished = folder / f"{'0' * 20}.new"
    for path in (*strangers, unfinished):
        path.write_text("")
    with_clock_ahead(100, lambda: entries.keep("later", CONTENT), used=by_key["used"])
    assert not by_key["old"].exists() and not unfinished.exists()
    assert by_key["used"].exists() and all(path.exists() for path in strangers)


def with_clock_ahead(days: float, work, used: Path) -> None:
    """Times of files cannot all be set back (the time of change cannot): move the clock instead."""
    now = time.time() + days * 86400.0
    os.utime(used, (now, now))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(entries.time, "time", lambda: now)
        patch.setattr(entries, "_this", entries._ThisProcess())
        work()


def test_the_folder_stays_bounded_and_the_longest_unused_go_first(folder, monkeypatch):
    monkeypatch.setattr(entries, "_TOTAL_BYTES_MAX", 5 * len(CONTENT))
    for number in range(12):
        monkeypatch.setattr(entries, "_this", entries._ThisProcess())  # as many processes
        entries.keep(str(number), CONTENT)
        time.sleep(0.01)
    assert 3 <= entries.usage(folder).n_entries <= 5
    assert entries.find("11") == CONTENT and entries.find("0") is None


def test_writers_readers_and_tidiers_at_the_same_time_do_not_disturb_each_other(folder):
    wrong: list[object] = []
    end = time.monotonic() + 1.5

    def work(number: int) -> None:
        content = bytes([number]) * 50_000
        while time.monotonic() < end:
            entries.keep("shared", content)
            found = entries.find("shared")
            if found is not None and (len(found) != 50_000 or len(set(found)) != 1):
                wrong.append(found[:10])
            if number == 0:
                for path in folder.glob("*.kept"):
                    path.unlink(missing_ok=True)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert entries.keep("shared", CONTENT) and entries.find("shared") == CONTENT
    assert not list(folder.glob("*.new"))


PARENT = """
import multiprocessing
from rtdenoise.cache import entries
def work(): entries.keep("a", b"1")
if __name__ == "__main__":
    child = multiprocessing.get_context("spawn").Process(target=work)
    child.start(); child.join()
    work()
"""


def test_workers_leave_it_to_their_parent_to_say(folder, tmp_path):
    folder.write_text("")
    (tmp_path / "program.py").write_text(PARENT)
    root = str(Path(__file__).parents[2])
    environment = os.environ | {"TMPDIR": str(tmp_path / "temporary"), "PYTHONPATH": root}
    done = subprocess.run(
        [sys.executable, str(tmp_path / "program.py")], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stderr.count("cannot write to") == 1, done.stderr


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """A folder of entries that somebody else made, as it comes with the package."""
    folder = tmp_path / "package" / "compiled"
    monkeypatch.setenv("RTDENOISE_CACHE_DIR", str(folder))
    assert entries.keep("a key", b"content")
    monkeypatch.setenv("RTDENOISE_CACHE_DIR", str(tmp_path / "own"))
    assert entries.find("a key") is None
    monkeypatch.setattr(folders, "shipped", lambda: folder)
    folders.shipped_user.cache_clear()
    yield folder
    folders.shipped_user.cache_clear()


def test_what_ships_with_the_package_is_found_after_what_is_ones_own(shipped):
    assert entries.find("a key") is None, "nobody says who made it"
    folders.shipped_user.cache_clear()
    (shipped / folders.SHIPPED_USER).write_text(folders.trusted_users()[0])
    assert entries.find("a key") == b"content"
    assert entries.find("other", "a key") == b"content"
    assert entries.keep("a key", b"own") and entries.find("a key") == b"own"


def test_a_folder_that_is_to_have_everything_gets_what_ships(shipped, monkeypatch):
    (shipped / folders.SHIPPED_USER).write_text(folders.trusted_users()[0])
    monkeypatch.setattr(entries, "_this", entries._ThisProcess())
    assert entries.find("a key") == b"content" and entries.usage(folders.chosen()).n_entries == 0
    entries.gather()
    assert entries.find("a key") == b"content" and entries.usage(folders.chosen()).n_entries == 1


def test_damage_to_what_ships_is_a_miss(shipped):
    (shipped / folders.SHIPPED_USER).write_text(folders.trusted_users()[0])
    for path in shipped.glob("*.kept"):
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert entries.find("a key") is None
