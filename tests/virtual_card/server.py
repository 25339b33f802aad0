"""A private JACK server on the dummy driver: PortAudio opens it for real, headless, as any user, with nothing installed
but jackd.

Synchronous (the default) every cycle waits for all clients: a slow machine makes audio late, never lost.  Asynchronous
is the ordinary mode: a late client misses its cycle, for tests of drop-outs.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from tests.virtual_card.apart import own_shared_memory, shares_memory

_UP_SECONDS = 10.0
_REGISTER_SECONDS = 120.0
_CLIENT_TIMEOUT_MS = 2000


def missing() -> str:
    """Why there can be no virtual card here, or nothing."""
    if shutil.which("jackd") is None or shutil.which("jack_wait") is None:
        return "jackd is not installed (tests/virtual_card/install)"
    try:
        import jack  # noqa: F401
    except (ImportError, OSError) as error:
        return f"JACK-Client is not installed (tests/virtual_card/install): {error}"
    return ""


class Server:
    """One running jackd; `environment` is what programs need to see its devices and no others.

    Parameters
    ----------
    rate, period : int
        Hz; samples, a power of two.
    synchronous : bool
    realtime : bool
        Real-time priority for the server and its clients' audio threads (needs the permission).
    name : str, optional
        By default this process's own: it has one server at a time.
    """

    def __init__(
        self, rate: int = 16000, period: int = 128, *, synchronous: bool = True, realtime: bool = False, name: str = ""
    ) -> None:
        self.rate, self.period, self.synchronous, self.realtime = rate, period, synchronous, realtime
        self.name = name or f"rtdenoise-test-{os.getpid()}"  # JACK clears the register of a dead server of equal name
        self._folder = Path(tempfile.mkdtemp(prefix="rtdenoise-card-"))
        # one PCM that cannot open: PortAudio then lists JACK's devices only (with none at all 19.6 aborts)
        (self._folder / "asound.conf").write_text("pcm.none { type hw card 99 }\n", encoding="ascii")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """Variables for programs that shall use this server."""
        return {
            "JACK_DEFAULT_SERVER": self.name,
            "JACK_NO_START_SERVER": "1",
            "JACK_NO_AUDIO_RESERVATION": "1",
            "ALSA_CONFIG_PATH": str(self._folder / "asound.conf"),
        }

    @property
    def log(self) -> str:
        """What the server printed."""
        return (self._folder / "jackd.log").read_text(encoding="utf-8", errors="replace")

    def start(self) -> Server:
        """Start, or start again; servers that were killed before leave JACK's register full, so clear it if it is."""
        own_shared_memory()
        limit = time.monotonic() + _REGISTER_SECONDS
        while True:
            try:
                self._launch()
                break
            except RuntimeError:
                if "Too many servers" not in self.log or time.monotonic() > limit:
                    raise
            if _servers_run():  # theirs is in the register, too
                time.sleep(0.2)
                continue
            for left in Path("/dev/shm").glob("jack*"):
                shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)
        return self

    def _launch(self) -> None:
        mode = "-S" if self.synchronous else "-s"
        priority = ["-R", "-P", "80"] if self.realtime else ["-r"]
        general = ["jackd", "-n", self.name, mode, *priority, "-m", "-t", str(_CLIENT_TIMEOUT_MS)]
        driver = ["-d", "dummy", "-r", str(self.rate), "-p", str(self.period), "-C", "2", "-P", "2"]
        with (self._folder / "jackd.log").open("wb") as log:
            self._process = subprocess.Popen(
                [*general, *driver],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | self.environment,
                start_new_session=True,
            )
        self.wait_until_up()

    def wait_until_up(self) -> None:
        """Return when clients can connect."""
        assert self._process is not None
        limit = time.monotonic() + _UP_SECONDS
        while time.monotonic() < limit and self._process.poll() is None:
            asked = subprocess.run(
                ["jack_wait", "-s", self.name, "-c"], capture_output=True, text=True, timeout=_UP_SECONDS, check=False
            )
            if asked.stdout.startswith("running"):
                return
            time.sleep(0.05)
        raise RuntimeError(f"jackd did not start: {self.log}")

    def kill(self) -> None:
        """End it as a crash does."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(5)
            self._process = None
        for left in Path("/dev/shm").glob(f"jack*{self.name}*"):
            left.unlink(missing_ok=True)

    def stop(self) -> None:
        """End it in order, and remove what it left."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(3)
            except subprocess.TimeoutExpired:
                self.kill()
            self._process = None
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Server:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def _servers_run() -> bool:
    """Whether a JACK server runs that shares our register; one that ended, and nobody has asked after, does not."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            name, _, rest = (folder / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")
            if name.endswith("(jackd") and rest.split()[0] not in ("Z", "X") and shares_memory(folder):
                return True
    return False
