"""Batches from and to places that are no folders of this machine: an object store and an SSH server, both running."""

from __future__ import annotations

import getpass
import logging
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from rtdenoise.batch import Request, batch
from rtdenoise.batch.places import Place
from rtdenoise.batch.task import DONE, FAILED, SKIPPED
from rtdenoise.errors import AudioFileError, ConfigError
from rtdenoise.files.setup import Setup

pytestmark = pytest.mark.filterwarnings("ignore")  # of Dask's event loop and the protocols' packages

BUCKET = "recordings"


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60.0
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as calling:
            if calling.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise RuntimeError("the server did not start")


@pytest.fixture
def bucket(monkeypatch) -> Iterator[str]:
    """Address of an empty bucket of an S3 server on this machine."""
    for package in ("moto", "s3fs", "flask"):
        pytest.importorskip(package, reason=f"no {package}: no S3 server to try")
    import s3fs

    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for(port, server)
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        s3fs.S3FileSystem.clear_instance_cache()
        s3fs.S3FileSystem().mkdir(BUCKET)
        yield f"s3://{BUCKET}"
    finally:
        server.kill()
        server.wait()
        s3fs.S3FileSystem.clear_instance_cache()


SSH_SERVER = """
import asyncio, sys, asyncssh
async def serve(port, folder):
    await asyncssh.listen("127.0.0.1", port, server_host_keys=[folder + "/host"],
                          authorized_client_keys=folder + "/home/.ssh/id_ed25519.pub", sftp_factory=True)
    await asyncio.Event().wait()
asyncio.run(serve(int(sys.argv[1]), sys.argv[2]))
"""


@pytest.fixture
def ssh_address(tmp_path, monkeypatch) -> Iterator[str]:
    """Address of a folder behind an SSH server of this test's own, reached with a key of its own."""
    for package in ("paramiko", "asyncssh"):
        pytest.importorskip(package, reason=f"no {package}: no SSH to try")
    import asyncssh

    keys = tmp_path / "home" / ".ssh"
    keys.mkdir(parents=True, mode=0o700)
    for path in (tmp_path / "host", keys / "id_ed25519"):
        key = asyncssh.generate_private_key("ssh-ed25519")
        key.write_private_key(str(path))
        key.write_public_key(f"{path}.pub")
        path.chmod(0o600)
    port = free_port()
    server = subprocess.Popen([sys.executable, "-c", SSH_SERVER, str(port), str(tmp_path)], stderr=subprocess.DEVNULL)
    try:
        wait_for(port, server)
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        (tmp_path / "far").mkdir()
        yield f"ssh://{getpass.getuser()}@127.0.0.1:{port}{tmp_path / 'far'}"
    finally:
        server.kill()
        server.wait()


def request_of(source: str | Path, target: str, setup: Setup, **more: object) -> Request:
    return Request(source=str(source), target=target, setup=setup, jobs=2, summary=None, **more)  # type: ignore[arg-type]


def check_round_trip(archive: tuple[Path, list[str]], far: str, setup: Setup, back: Path) -> None:
    """There, nothing to do the second time, and back from there: the samples that were sent."""
    raw, names = archive
    report = batch(request_of(raw, f"{far}/clean", setup))
    assert (report.count(DONE), report.count(FAILED)) == (len(names), 0), report.rows
    again = batch(request_of(raw, f"{far}/clean", setup))
    assert (again.count(DONE), again.count(SKIPPED)) == (0, len(names))
    batch(request_of(f"{far}/clean", str(back), setup))
    for name in names:
        np.testing.assert_array_equal(soundfile.read(back / name)[0], soundfile.read(raw / name)[0])


def test_an_object_store_there_and_back(archive, setup, tmp_path, bucket):
    import s3fs

    check_round_trip(archive, bucket, setup, tmp_path / "back")
    left = s3fs.S3FileSystem().find(f"{BUCKET}/clean")
    assert not [path for path in left if path.endswith(".part")]


def test_an_object_store_that_has_no_such_bucket_or_is_not_there(archive, setup, bucket, monkeypatch):
    import s3fs

    raw, _ = archive
    with pytest.raises(AudioFileError, match="no such folder"):
        batch(request_of("s3://nowhere/raw", "s3://nowhere/clean", setup))
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(AudioFileError, match="cannot be read") as caught:
        batch(request_of(f"s3://{BUCKET}/raw", str(raw.parent / "clean"), setup))
    assert "\n" not in str(caught.value)


def one_line(caught: pytest.ExceptionInfo[BaseException]) -> bool:
    return "\n" not in str(caught.value)


@pytest.fixture
def silent_store(monkeypatch) -> Iterator[str]:
    """Address in an object store where nobody answers."""
    s3fs = pytest.importorskip("s3fs", reason="no s3fs: no object store to try")
    for name, value in (("ENDPOINT_URL", f"http://127.0.0.1:{free_port()}"), ("MAX_ATTEMPTS", "1")):
        monkeypatch.setenv(f"AWS_{name}", value)
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "DEFAULT_REGION"):
        monkeypatch.setenv(f"AWS_{name}", "us-east-1")
    s3fs.S3FileSystem.clear_instance_cache()
    yield f"s3://{BUCKET}"
    s3fs.S3FileSystem.clear_instance_cache()


def test_an_object_store_as_target_that_is_not_there(archive, setup, silent_store):
    with pytest.raises(AudioFileError, match=f"{silent_store}/clean: cannot be read: .*endpoint") as caught:
        batch(request_of(archive[0], f"{silent_store}/clean", setup))
    assert one_line(caught)


def test_an_object_store_that_wants_credentials(archive, setup, tmp_path, bucket, monkeypatch):
    import s3fs

    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
        monkeypatch.delenv(f"AWS_{name}")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    s3fs.S3FileSystem.clear_instance_cache()
    for source, target in ((archive[0], f"{bucket}/clean"), (f"{bucket}/raw", str(tmp_path / "clean"))):
        with pytest.raises(AudioFileError, match=f"{bucket}/.*: cannot be read: .*credentials") as caught:
            batch(request_of(source, target, setup))
        assert one_line(caught)


def test_a_place_that_goes_away_after_the_work_does_not_undo_it(silent_store, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("rtdenoise"), "propagate", True)
    Place(f"{silent_store}/clean").remove_parts("tag")
    assert "hidden files ending in .part may be left" in caplog.text


def test_a_target_inside_the_source_of_an_object_store(setup, silent_store):
    for target in (f"{silent_store}/clean", f"{silent_store}/deep/../clean/", f"{silent_store}//"):
        with pytest.raises(ConfigError, match=r"inside the source|are the same"):
            batch(request_of(silent_store, target, setup))
    assert not Place(f"{silent_store}/rawer").is_inside(Place(f"{silent_store}/raw"))
    assert not Place(f"memory://{BUCKET}/clean").is_inside(Place(silent_store))


def test_an_ssh_server_there_and_back(archive, setup, tmp_path, ssh_address):
    check_round_trip(archive, ssh_address, setup, tmp_path / "back")
    assert sorted(path.suffix for path in (tmp_path / "far").rglob("*") if path.is_file()).count(".part") == 0


def test_an_ssh_server_that_is_not_there(setup, tmp_path):
    pytest.importorskip("paramiko", reason="no paramiko: SSH cannot be spoken")
    dead = f"ssh://someone@127.0.0.1:{free_port()}/there"
    for source, target in ((dead, str(tmp_path)), (str(tmp_path), dead)):
        with pytest.raises(AudioFileError, match=r"127\.0\.0\.1.*cannot be reached") as caught:
            batch(request_of(source, target, setup))
        assert one_line(caught)


def test_an_ssh_server_that_does_not_know_us(setup, ssh_address, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(AudioFileError, match="cannot be reached") as caught:
        batch(request_of(str(tmp_path), f"{ssh_address}/clean", setup))
    assert one_line(caught)


def test_a_target_inside_the_source_of_an_ssh_server(setup, ssh_address):
    with pytest.raises(ConfigError, match="inside the source"):
        batch(request_of(ssh_address, f"{ssh_address}/clean", setup))
