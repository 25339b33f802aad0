"""Between the pages and the session: what pages ask for is done here, and what they show comes from here."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from rtdenoise.config import preset_names
from rtdenoise.errors import ConfigError, DeviceError, RtDenoiseError, shortened
from rtdenoise.live_audio.control.place import is_answered
from rtdenoise.live_audio.controls import METHODS, VIRTUAL_MICROPHONE
from rtdenoise.panel import advice
from rtdenoise.panel.choices import Choices, checked_choices, microphone_of, networks, ways
from rtdenoise.panel.follower import Follower
from rtdenoise.panel.link import NO_SESSION, Link
from rtdenoise.panel.memory import Memory
from rtdenoise.panel.starter import KILLED, Starter
from rtdenoise.panel.takes import Takes

METERS_SECONDS = 1.0 / 30.0
_STATUS_SECONDS, _STATUS_UNWATCHED_SECONDS = 1.0, 20.0
_CHANGING = ("choose", "bypass", "hold", "record", "mark", "test", "default")  # seen at once, not a second later
_STOP_SECONDS = 15.0
_STARTER_SECONDS = 0.2
_GIVE_BACK_TRIES, _GIVE_BACK_SECONDS = 10, 0.5
_FOREIGN_SECONDS = 2.0  # until a session that was started elsewhere has removed its microphone
TEST_SECONDS = 10.0
_WHILE_RUNNING = ("method", "attenuation_limit_db", "mix")  # change at once; the rest opens the devices again


class Page(Protocol):
    """A page that is open somewhere."""

    visible: bool

    def send(self, message: dict[str, Any]) -> None:
        """Send a message; it arrives in order."""

    def send_meters(self, line: str) -> None:
        """Send a line, unless the page does not keep up."""


class Panel:
    """Everything but the web: the state of the panel, and what it does.

    Parameters
    ----------
    socket : Path
        The control socket of the session.
    recordings : Path
        The folder of recordings of sessions that are started here.
    memory : Memory
    leave : callable
        Called when a page asks for the end of the panel.
    """

    def __init__(self, socket: Path, recordings: Path, memory: Memory, leave: Callable[[], None]) -> None:
        self._socket, self._memory, self._leave, self._recordings = socket, memory, leave, recordings
        self._link = Link(socket, self._hear, self._pass_on)
        self._starter = Starter(socket, recordings)
        self._follower = Follower(self._spread_panel)
        self.takes = Takes()
        self._pages: list[Page] = []
        self._holding: list[Page] = []
        self._bypass_before, self._one_holds = False, asyncio.Lock()
        self._status: dict[str, Any] | None = None
        self._phase = "none"
        self._stopping = False
        self._trouble: dict[str, Any] | None = None
        self._later: Choices = {}  # once the devices are open again
        self._moving: tuple[str, str] | None = None  # from one microphone to another, until that is heard
        self._test: dict[str, Any] = {"state": "none"}
        self._test_end = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._actions: dict[str, Callable[[Page, dict[str, Any]], Awaitable[None]]] = {
            "choose": self._choose,
            "bypass": self._bypass,
            "hold": self._hold,
            "start": lambda _page, _asked: self.start(),
            "stop": lambda _page, _asked: self.stop(),
            "record": self._record,
            "mark": self._mark,
            "test": self._begin_test,
            "default": self._default,
            "keep": self._keep,
            "forget": self._forget,
            "devices": self._refresh,
            "doctor": self._ask_doctor,
            "watch": self._watch,
            "leave": self._end,
        }

    async def run(self) -> None:
        """Work until cancelled."""
        await asyncio.gather(self._link.run(), self._follower.run(), self._look_after_starter())

    async def close(self) -> None:
        """End the session that was started here, unless it is to go on, and everything else."""
        for task in self._tasks:
            task.cancel()
        if self._starter.running and not self._memory.keep:
            with suppress(RtDenoiseError):
                await self.stop()

    # pages

    def enter(self, page: Page) -> None:
        """A page was opened: show it everything."""
        self._pages.append(page)
        page.send(self._as_event())
        if self._status is not None:
            page.send({"event": "status", "status": self._status})
        self._demand()
        self._follower.refresh()

    def part(self, page: Page) -> None:
        """A page was closed; what it held is released."""
        self._pages.remove(page)
        if page in self._holding:
            self._spawn(self._hold(page, {"on": False}))
        self._demand()

    async def do(self, page: Page, asked: Any) -> dict[str, Any]:
        """Do what a page asks for; returns the answer."""
        answer: dict[str, Any] = {"event": "answer"}
        try:
            if not isinstance(asked, dict) or asked.get("do") not in self._actions:
                raise ConfigError("a page asks for {'do': " + " or ".join(self._actions) + "}")
            answer["id"] = asked.get("id")
            await self._actions[asked["do"]](page, asked)
        except RtDenoiseError as error:
            return answer | {"ok": False, "error": str(error)}
        if asked["do"] in _CHANGING and self._link.there:
            self._spawn(self._see())
        return answer | {"ok": True}

    async def _see(self) -> None:
        self._on_status((await self._link.ask("status"))["status"])

    def _spread(self, message: dict[str, Any]) -> None:
        for page in self._pages:
            page.send(message)

    def _spread_panel(self) -> None:
        self._spread(self._as_event())

    def _as_event(self) -> dict[str, Any]:
        devices = self._follower.devices
        return {
            "event": "panel",
            "phase": self._phase,
            "ours": self._starter.running,
            "keep": self._memory.keep,
            "choices": self._memory.choices,
            "inputs": ways(devices, "input"),
            "outputs": ways(devices, "output"),
            "default_input": next((d.name for d in devices if d.default_input and d.channels_in), ""),
            "default_output": next((d.name for d in devices if d.default_output and d.channels_out), ""),
            "device_error": self._follower.error,
            "methods": list(METHODS),
            "presets": preset_names(),
            "models": list(networks()),
            "remembered": self._memory.microphones,
            "complaint": self._memory.complaint,
            "trouble": self._trouble,
            "test": self._test,
            "recordings": str(self._recordings),
        }

    def _demand(self) -> None:
        """Have the session send as much as somebody looks at."""
        watched = any(page.visible for page in self._pages)
        self._follower.watched = watched
        if self._link.there:
            every = _STATUS_SECONDS if watched else _STATUS_UNWATCHED_SECONDS
            self._spawn(self._link.ask("watch", every_seconds=every))
            self._spawn(self._link.ask("meters", every_seconds=METERS_SECONDS if watched else None))

    def _spawn(self, work: Awaitable[Any]) -> None:
        """Do it beside; what goes wrong then is told to the pages."""
        task = asyncio.ensure_future(self._told(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _told(self, work: Awaitable[Any]) -> None:
        try:
            await work
        except RtDenoiseError as error:
            if self._link.there:
                self._spread({"event": "told", "line": str(error)})

    # the session

    def _pass_on(self, line: str) -> None:
        for page in self._pages:
            if page.visible:
                page.send_meters(line)

    def _hear(self, event: dict[str, Any]) -> None:
        if event["event"] == "here":
            self._phase, self._trouble, self._stopping = "there", None, False
            self._spread_panel()
            self._demand()
        elif event["event"] == "gone":
            self._on_end(in_order=event["in_order"] or self._stopping)
        elif event["event"] == "status":
            self._on_status(event["status"])
        else:
            self._spread(event)

    def _on_status(self, status: dict[str, Any]) -> None:
        before = self._status["state"] if self._status is not None else ""
        self._status = status
        arrived = status["state"] == "running" and status["devices"].get("source")
        if self._moving is not None and arrived and arrived != self._moving[0]:
            self._moving = None
        self._spread({"event": "status", "status": status})
        if status["state"] != before:
            self._follower.refresh()
        if status["state"] == "running" and self._later:
            later, self._later = self._later, {}
            self._spawn(self._link.ask("set", **later))

    def _on_end(self, *, in_order: bool) -> None:
        self._phase, self._status, self._later = "ending" if self._starter.running else "none", None, {}
        self._moving = None
        self._holding.clear()
        self._test_end.set()
        if not in_order:
            self._spawn(self._give_back_default())
            self._complain(KILLED)
        self._spread({"event": "status", "status": None})
        self._spread_panel()

    async def _give_back_default(self) -> None:
        from rtdenoise.live_audio.ends.default_microphone import give_back_leftover

        for _ in range(_GIVE_BACK_TRIES):  # a process that was killed may take a moment to go
            if former := await asyncio.to_thread(give_back_leftover):
                self._spread({"event": "told", "line": f"the default microphone is {former} again"})
                return
            await asyncio.sleep(_GIVE_BACK_SECONDS)

    async def _look_after_starter(self) -> None:
        while True:
            await asyncio.sleep(_STARTER_SECONDS)
            why = self._starter.ended()
            if why is None:
                continue
            if self._phase in ("starting", "ending"):
                self._phase = "none"
            if why and not self._stopping:
                self._complain(why)
            self._spread_panel()

    def _complain(self, why: str) -> None:
        """Show why there is no session, and what the doctor says; its process and its connection may both tell."""
        if self._trouble is None:
            self._trouble = {"line": why}
            self._spawn(self._examine())

    async def start(self) -> None:
        """Start a session with the choices, and with what is remembered for its microphone.

        Raises
        ------
        DeviceError
            If one runs.
        """
        if self._link.there or self._starter.running:
            raise DeviceError("a session runs already")
        choices = self._memory.choices | self._memory.of(microphone_of(self._memory.choices["input"], self._devices))
        self._trouble, self._stopping, self._phase = None, False, "starting"
        self._starter.start(choices)
        self._link.look()
        self._spread_panel()

    async def start_if_none(self) -> None:
        """Start a session, unless one listens."""
        if not await asyncio.to_thread(is_answered, self._socket):
            await self.start()

    async def stop(self) -> None:
        """End the session in order, whoever started it."""
        if not (self._link.there or self._starter.running):
            raise DeviceError(NO_SESSION)
        self._stopping = True
        if self._link.there:
            await self._link.ask("quit")
        else:
            self._starter.terminate()  # it is not listening yet
        if not await self._starter.wait(_STOP_SECONDS):
            self._starter.terminate()
        until = asyncio.get_running_loop().time() + _STOP_SECONDS
        while self._link.there:
            await asyncio.sleep(0.02)
            if asyncio.get_running_loop().time() > until:
                raise DeviceError("the session does not end; end it in its terminal")

    @property
    def _devices(self) -> list[Any]:
        return self._follower.devices

    @property
    def _microphone(self) -> str:
        """The name of the microphone that choices are for."""
        if self._moving is not None:
            return self._moving[1]
        if self._status is not None:
            return str(self._status["devices"].get("source") or "")
        return microphone_of(self._memory.choices["input"], self._devices)

    # what pages ask for

    async def _choose(self, _page: Page, asked: dict[str, Any]) -> None:
        chosen = checked_choices(asked.get("choices"))
        microphone = self._microphone
        if "input" in chosen:
            microphone = microphone_of(chosen["input"], self._devices)
            chosen = self._memory.of(microphone) | chosen
        if self._link.there:
            chosen = await self._apply(chosen)
            if microphone != self._microphone:
                self._moving = self._microphone, microphone
        self._memory.note(chosen, microphone)
        self._spread_panel()

    async def _apply(self, chosen: Choices) -> Choices:
        """Change the session; returns the choices as they are then."""
        at_once = {name: value for name, value in chosen.items() if name in _WHILE_RUNNING}
        reopening = {name: value for name, value in chosen.items() if name not in _WHILE_RUNNING}
        output = (self._status or {}).get("output")
        if reopening.get("output", output) == output:
            reopening.pop("output", None)
        elif VIRTUAL_MICROPHONE in (reopening["output"], output):
            await self._start_again(chosen)
            return chosen
        if reopening:
            if "method" in at_once:
                reopening["method"] = at_once.pop("method")
            elif "model" in reopening:
                chosen = chosen | {"method": "CAN"}
            await self._link.ask("use", **reopening)
            self._later |= at_once
        elif at_once:
            await self._link.ask("set", **at_once)
        return chosen

    async def _start_again(self, chosen: Choices) -> None:
        """The virtual microphone is made, and removed, by a session of its own."""
        ours = self._starter.running
        await self.stop()
        self._memory.note(chosen, "")
        await asyncio.sleep(0.0 if ours else _FOREIGN_SECONDS)
        await self.start()

    async def _bypass(self, _page: Page, asked: dict[str, Any]) -> None:
        self._holding.clear()
        await self._link.ask("set", bypass=_on(asked))

    async def _hold(self, page: Page, asked: dict[str, Any]) -> None:
        """The other side as long as a page holds a key; what was before comes back when the last one lets go."""
        on = _on(asked)
        async with self._one_holds:  # a key may be let go while the session is still being asked
            if on and page not in self._holding:
                if not self._holding:
                    self._bypass_before = (await self._link.ask("status"))["status"]["bypass"]
                self._holding.append(page)
                await self._link.ask("set", bypass=not self._bypass_before)
            elif not on and page in self._holding:
                self._holding.remove(page)
                if not self._holding:
                    await self._link.ask("set", bypass=self._bypass_before)

    async def _record(self, _page: Page, asked: dict[str, Any]) -> None:
        answer = await self._link.ask("record", on=_on(asked))
        if not asked["on"]:
            names = [Path(file).name for file in answer["files"]]
            where = str(Path(answer["files"][0]).parent) if names else ""
            line = answer["failed"] or (
                f"recorded {' and '.join(names)} in {where}" if names else "nothing was recorded"
            )
            self._spread({"event": "told", "line": line})

    async def _mark(self, _page: Page, asked: dict[str, Any]) -> None:
        text = asked.get("text", "")
        mark = (await self._link.ask("mark", text=text if isinstance(text, str) else ""))["mark"]
        self._spread({"event": "told", "line": f"marked {mark['seconds']:.1f} s"})

    async def _begin_test(self, _page: Page, asked: dict[str, Any]) -> None:
        if not _on(asked):
            self._test_end.set()
            return
        if self._test["state"] == "recording":
            raise ConfigError("a test is being recorded already")
        await self._link.ask("record", on=True)
        self._test_end.clear()
        self._set_test(state="recording", seconds=TEST_SECONDS)
        self._spawn(self._finish_test())

    async def _finish_test(self) -> None:
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._test_end.wait(), TEST_SECONDS)
        try:
            answer = await self._link.ask("record", on=False)
        except DeviceError:
            self._set_test(state="none")
            raise
        name = await asyncio.to_thread(self.takes.add, answer["files"])
        if not name:
            self._set_test(state="none")
            raise DeviceError(answer["failed"] or "nothing was recorded: no sound passed")
        self._set_test(state="ready", take=name, names=[Path(file).name for file in answer["files"]])

    def _set_test(self, **test: Any) -> None:
        self._test = test
        self._spread_panel()

    async def _default(self, _page: Page, asked: dict[str, Any]) -> None:
        await self._link.ask("set", default_microphone=_on(asked))

    async def _keep(self, _page: Page, asked: dict[str, Any]) -> None:
        self._memory.set_keep(_on(asked))
        self._spread_panel()

    async def _forget(self, _page: Page, asked: dict[str, Any]) -> None:
        self._memory.forget(str(asked.get("microphone", "")))
        self._spread_panel()

    async def _refresh(self, _page: Page, _asked: dict[str, Any]) -> None:
        self._follower.refresh()

    async def _ask_doctor(self, _page: Page, _asked: dict[str, Any]) -> None:
        self._trouble = (self._trouble or {"line": ""}) | {"asked": True}
        self._spawn(self._examine())

    async def _examine(self) -> None:
        """Ask the doctor, unless it is being asked."""
        if self._trouble is None or self._trouble.get("checking"):
            return
        trouble = self._trouble
        trouble["checking"] = True
        self._spread_panel()
        found = await advice.findings((self._status or self._memory.choices)["method"])
        trouble |= {"checking": False, "findings": found}
        self._spread_panel()

    async def _watch(self, page: Page, asked: dict[str, Any]) -> None:
        page.visible = _on(asked)
        self._demand()

    async def _end(self, _page: Page, _asked: dict[str, Any]) -> None:
        self._leave()


def _on(asked: dict[str, Any]) -> bool:
    value = asked.get("on")
    if not isinstance(value, bool):
        raise ConfigError(f"on={shortened(value)} must be true or false")
    return value
