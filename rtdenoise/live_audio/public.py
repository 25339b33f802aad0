"""Live audio from Python: a session as a context manager."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from rtdenoise.choice import Choice, Config
from rtdenoise.errors import ConfigError, DeviceError, require_choice
from rtdenoise.live_audio.assembly import Assembly
from rtdenoise.live_audio.controls import ENDED, METHODS, Controls, LiveStatus, Mark, check_limit
from rtdenoise.live_audio.device_names import STDIO, is_device
from rtdenoise.live_audio.ends.files import Destination
from rtdenoise.live_audio.ends.virtual_microphone import VirtualMicrophone
from rtdenoise.live_audio.plan import LivePlan

_log = logging.getLogger(__name__)

DEFAULT_PRESET = "low"
VIRTUAL_MICROPHONE = "virtual-mic"
_STEP_SECONDS = 0.05


class LiveSession(AbstractContextManager["LiveSession"]):
    """Live audio in separate processes, alongside your program; see `rtdenoise.live`.

    All attributes and methods may be used from any thread.

    Parameters
    ----------
    plan : LivePlan
    source : Path, optional
        A file to play if the plan names no input device.
    target : Destination, optional
        A file to write if the plan names no output device.
    virtual : bool
        Whether to output to a virtual microphone that other programs can select.
    tell : callable, optional
        Called with one line for each event the user should know about; by default they are logged.
    """

    def __init__(
        self,
        plan: LivePlan,
        *,
        source: Path | None = None,
        target: Destination | None = None,
        virtual: bool = False,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        self._plan, self._source, self._target = plan, source, target
        self._virtual = virtual
        self._tell = tell or _log.info
        self._controls: Controls | None = None
        self._failure: BaseException | None = None
        self._thread: threading.Thread | None = None
        self._opened, self._over, self._ask_end = threading.Event(), threading.Event(), threading.Event()

    def open(self) -> LiveSession:
        """Open the devices and start; returns once audio is running.

        Raises
        ------
        DeviceError, ConfigError, ModelError, MissingExtraError, AudioFileError
            If it cannot start.
        """
        if self._over.is_set():
            self._raise()
            raise DeviceError(ENDED)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="rtdenoise-live", daemon=True)
            self._thread.start()
        self._opened.wait()
        self._raise()
        return self

    def close(self) -> None:
        """Fade out and end everything; files and recordings are then complete.  May be called twice.

        Raises
        ------
        DeviceError, AudioFileError ...
            The error that ended the session, if it has not been raised before.
        """
        self._ask_end.set()
        if self._thread is not None:
            self._thread.join()
        self._raise()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until the session ends (a file was played to its end), or for a time; returns whether it has ended.

        Raises
        ------
        DeviceError, AudioFileError ...
            The error that ended it.
        """
        over = self._over.wait(seconds)
        self._raise()
        return over

    def status(self) -> LiveStatus:
        """The current measurements."""
        return self._running().status()

    @property
    def method(self) -> str:
        """Audible method: "WF", "SS", "CAN" or "bypass".  Setting it cross-fades, as soon as the method is ready."""
        return self._running().status().method

    @method.setter
    def method(self, name: str) -> None:
        require_choice("method", name, METHODS)
        self._running().set_method(name)

    @property
    def bypass(self) -> bool:
        """Whether the time-aligned dry signal is audible; setting it cross-fades."""
        return self._running().status().bypass

    @bypass.setter
    def bypass(self, on: bool) -> None:
        self._running().set_bypass(bool(on))

    @property
    def attenuation_limit_db(self) -> float | None:
        """The most that the audible method may lower noise, in dB; None: no limit."""
        return self._running().attenuation_limit_db

    @attenuation_limit_db.setter
    def attenuation_limit_db(self, limit_db: float | None) -> None:
        check_limit(limit_db)
        self._running().set_attenuation_limit_db(limit_db)

    def mark(self, text: str = "") -> Mark:
        """Mark this moment; `status` lists all marks."""
        return self._running().mark(text)

    def record(self, folder: str | Path) -> Recording:
        """Record noisy and enhanced sound, sample-aligned, until the recording is stopped.

        Returns
        -------
        Recording
            Its ``stop()`` ends it, as does the end of a ``with`` statement, or of the session.

        Raises
        ------
        AudioFileError
            If the folder cannot be made or written.
        ConfigError
            If a recording is already running.
        """
        controls = self._running()
        controls.record(Path(folder))
        return Recording(controls.finish_recording, Path(folder))

    def __enter__(self) -> LiveSession:
        return self.open()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        self._ask_end.set()
        if self._thread is not None:
            self._thread.join()
        if error is None:
            self._raise()

    def _running(self) -> Controls:
        if self._controls is None:
            raise DeviceError("the live session is not open: use it in a `with` statement, or call open() first")
        return self._controls

    def _raise(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _run(self) -> None:
        """Run the whole session in one thread: on Linux its processes end with the thread that started them."""
        try:
            if self._target is not None:
                self._target.check()
            with ExitStack() as stack:
                microphone = self._microphone(stack)
                plan = self._plan if microphone is None else replace(self._plan, silent=microphone.moves)
                live = Assembly(plan, self._tell, Path(), microphone)
                stack.push(live)
                if self._source is not None:
                    live.play(self._source)
                if self._target is not None:
                    live.write(self._target)
                self._controls = controls = Controls(live)
                try:
                    self._drive(live, controls)
                finally:
                    with controls.lock:  # nobody may be writing into shared memory that is unmapped
                        live.close()
                if live.played is not None and live.played.failed is not None:
                    raise live.played.failed
        except BaseException as error:  # noqa: BLE001 - raised in the thread that asks
            self._failure = error
        self._over.set()
        self._opened.set()

    def _drive(self, live: Assembly, controls: Controls) -> None:
        while not self._ask_end.is_set() and threading.main_thread().is_alive():
            with controls.lock:
                if not live.step():
                    return
                if live.session.state == "running":
                    self._opened.set()
            time.sleep(_STEP_SECONDS)

    def _microphone(self, stack: ExitStack) -> VirtualMicrophone | None:
        if not self._virtual:
            return None
        microphone = VirtualMicrophone(self._plan.channels)
        stack.callback(microphone.close)
        microphone.open()
        return microphone


class Recording(AbstractContextManager["Recording"]):
    """A running recording.

    Attributes
    ----------
    folder : Path
    failed : str
        After `stop`: why it is incomplete; empty if it is complete.
    """

    def __init__(self, stop: Callable[[], str], folder: Path) -> None:
        self._stop, self.folder, self.failed = stop, folder, ""

    def stop(self) -> None:
        """Finish both files; may be called twice."""
        self.failed = self._stop()

    def __exit__(self, *_error: object) -> None:
        self.stop()


def live(
    method: str | None = None,
    *,
    input: str | int | Path = "mic",
    output: str | int | Path | None = "speaker",
    preset: str | None = None,
    config: Config | None = None,
    model: str | Path | None = None,
    channels: int = 1,
    channel_mode: str | None = None,
    attenuation_limit_db: float | None = None,
    mix: float | None = None,
    block: int | None = None,
    latency: str | float = "low",
    run_in: str = "auto",
    overwrite: bool = False,
    tell: Callable[[str], None] | None = None,
) -> LiveSession:
    """A live session: microphone in, clean speech out, in processes that a busy interpreter cannot disturb.

    Parameters
    ----------
    method, preset, config, model, channel_mode, attenuation_limit_db, mix
        As for `rtdenoise.stream`; the preset is "low" unless `config` names another.
    input : str, int or path
        "mic", "mic:NAME", a device's index or a part of its name, or a file that is played.
    output : str, int, path or None
        "speaker", "speaker:NAME", an index or a part of a name, "virtual-mic", or a file that is written; None: nothing
        is played (recordings and `status` still work).
    channels : int
        How many of the input's channels are processed.
    block : int, optional
        Samples per device block; by default the host's best.
    latency : "low", "safe" or float
        Latency requested from the host; a number is in seconds.
    run_in : {"auto", "callback", "engine"}
        Where compiled methods run: inside the audio callback or in a process of their own.  "auto": in the callback,
        unless a network's hop is measured to take more than 60 % of a block's time on this machine.
    overwrite : bool
        Whether to replace an existing output file.
    tell : callable, optional
        Called with one line for each event the user should know about; by default they are logged.

    Returns
    -------
    LiveSession
        Started by ``with`` or `LiveSession.open`.

    Raises
    ------
    ConfigError
        As for `stream`, and for files at both ends.  Devices are looked up when the session is opened.

    Examples
    --------
    >>> import time, rtdenoise
    >>> with rtdenoise.live("WF", input="mic", output="speaker") as session:  # doctest: +SKIP
    ...     time.sleep(10)
    ...     session.attenuation_limit_db = 12
    ...     print(session.status().latency_ms["total"], session.status().late_blocks)
    """
    choice = Choice(method, preset, config, model, channel_mode, attenuation_limit_db, mix)
    settings = choice.settings(DEFAULT_PRESET)
    if input is None:
        raise ConfigError("input=None: name a microphone or a file; only output may be None")
    for name, end in (("input", input), ("output", output)):
        if end == STDIO:
            raise ConfigError(f"{name}='-' is for the command line; here push chunks through rtdenoise.stream")
    virtual = isinstance(output, str) and output.lower() == VIRTUAL_MICROPHONE
    source, target = _end(input), _end("speaker" if virtual else output)
    plan = LivePlan(
        settings=settings,
        source=source if isinstance(source, str) else None,
        target=target if isinstance(target, str) else None,
        channels=channels,
        block=block,
        latency=latency,
        channels_out=channels if virtual else None,
        run_in=run_in,
    )
    return LiveSession(
        plan,
        source=source if isinstance(source, Path) else None,
        target=Destination(target=str(target), overwrite=overwrite) if isinstance(target, Path) else None,
        virtual=virtual,
        tell=tell,
    )


def _end(name: str | int | Path | None) -> str | Path | None:
    """A device's name, a file, or nothing."""
    if name is None or isinstance(name, Path):
        return name
    text = str(name)
    return text if is_device(text) else Path(text)
