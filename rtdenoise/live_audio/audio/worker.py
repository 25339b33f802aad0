"""The audio process: opens the devices, runs the compiled callback, and does nothing else.

It is a separate process because PortAudio calls can hang when a sound server dies: the session then ends it and starts
another.
"""

from __future__ import annotations

import os
import time
from dataclasses import replace
from threading import Thread
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from rtdenoise.cache import machine_code
from rtdenoise.child import scheduling
from rtdenoise.child.lines import ChildEnd
from rtdenoise.errors import DeviceError, ModelError, reason
from rtdenoise.live_audio import messages
from rtdenoise.live_audio.audio import devices
from rtdenoise.live_audio.audio.begin import Beginning
from rtdenoise.live_audio.audio.desktop import through_pulseaudio
from rtdenoise.live_audio.audio.devices import Device
from rtdenoise.live_audio.audio.jack_ports import JackPorts, RefusedError, ports_of
from rtdenoise.live_audio.audio.shutdown import Shutdown
from rtdenoise.live_audio.callback.programs import network_of, process_callback, start_of
from rtdenoise.live_audio.plan import LivePlan
from rtdenoise.live_audio.record import FINISHED, attach_rings, expect_engine, hear_engine, prepare
from rtdenoise.live_audio.shared_memory import Region

if TYPE_CHECKING:
    from collections.abc import Callable

    from rtdenoise.live_audio.audio.portaudio import Opening
    from rtdenoise.live_audio.callback.start import Callback, Start

_ENGINE_START_SECONDS = 120.0
_FIRST_CALLBACK_SECONDS = 5.0
_USUAL_BLOCK = 128  # where the host decides, for what a hop is compared with
_POLL_SECONDS = 0.04
_LOOK_SECONDS = 0.2
_SHUTDOWN_SECONDS = 60.0  # the session's timeout is shorter


class Worker:
    """Opens the devices once and runs their stream to its end."""

    def __init__(self, plan: LivePlan, region: Region, wake_fd: int, parent: ChildEnd, shutdown: Shutdown) -> None:
        self._plan, self._region, self._wake_fd, self._parent = plan, region, wake_fd, parent
        self._live, self._shutdown = region.live, shutdown
        self._second_latency = 0.0
        self._rules: dict[str, int] = {}
        self._begun: tuple[Start, Callback]  # what the callback runs on
        self._added: tuple[Start, Callback] | None = None  # its network runs, if it began without one

    def run(self) -> None:
        """Open, start, watch, close."""
        from rtdenoise.live_audio.audio.portaudio import Opening

        plan = self._plan
        with self._shutdown.talking:
            listed = devices.list_devices_here()
        source = devices.find_device(listed, plan.source, "input") if plan.source is not None else None
        target = devices.find_device(listed, plan.target, "output") if plan.target is not None else None
        apart = self._apart(source, target)
        rate = (source or target or _no_device()).rate_hz
        channels_in = min(plan.channels, source.channels_in) if source else 0
        channels_out = min(plan.channels_out or max(2, plan.channels), target.channels_out) if target else 0
        self._parent.send(messages.RateFound(rate))
        hop, callback, userdata = self._prepare(
            rate, channels_in, 0 if apart else channels_out, lambda hop: self._block(hop, source, target)
        )
        opening = Opening(
            rate=rate,
            source=source,
            target=None if apart else target,
            channels_in=channels_in,
            channels_out=channels_out,
            block=self._block(hop, source, target),
            latency={"low": "low", "safe": "high"}.get(str(plan.latency), plan.latency),
        )
        playback = self._prepare_playback(rate, target.rate_hz, channels_out) if apart and target else None
        hosts = [device.host_api for device in (source, target) if device is not None]
        # from here on nothing compiles, and the session's timeout is short
        self._parent.send(messages.OpeningDevices(hosts))
        ports = self._ports_of(target)
        if playback is not None and target is not None:
            second = replace(opening, rate=target.rate_hz, source=None, target=target)
            second = replace(second, block=opening.block and round(opening.block * target.rate_hz / rate))
            self._second_latency = self._start(second, *playback)[1]
        latency_in, latency_out = self._start(opening, callback, userdata)
        self._await_callback()
        running = messages.Opened(
            source=source,
            target=target,
            rate_hz=rate,
            latency_in_seconds=latency_in,
            latency_out_seconds=latency_out or self._second_latency,
            rules=self._rules,
        )
        self._parent.send(running)
        self._parent.send(messages.Granted(self._grants()))
        if ports is not None:
            self._parent.send(messages.WatchingTarget())
        self._watch(ports)

    def _apart(self, source: Device | None, target: Device | None) -> bool:
        """Whether input and output need separate streams: two clocks, or a host without full-duplex streams."""
        if source is None or target is None:
            return False
        if self._plan.two_clocks is not None:
            return self._plan.two_clocks
        one_server = source.host_api == target.host_api and "JACK" in source.host_api
        if through_pulseaudio(source) or through_pulseaudio(target):
            return True
        same = one_server or (source.name == target.name and source.host_api == target.host_api)
        return not same or source.rate_hz != target.rate_hz

    def _prepare_playback(self, rate_in: int, rate_out: int, channels: int) -> tuple[Any, np.ndarray]:
        """Callback and user data of an output stream that plays the clean ring on a separate clock."""
        from rtdenoise.live_audio.callback.interpolator import interpolator
        from rtdenoise.live_audio.callback.programs import playback_callback, playback_userdata

        live = self._live
        self._table = interpolator(rate_in, rate_out)
        live["play_table"], live["play_channels"], live["play_rate"] = self._table.ctypes.data, channels, rate_out
        return playback_callback(), playback_userdata(live.ctypes.data)

    def _start(self, opening: Opening, callback: Any, userdata: np.ndarray) -> tuple[float, float]:
        """Open and start a stream; return its reported latencies in seconds."""
        from rtdenoise.live_audio.audio.portaudio import open_stream, reported_latency, start_stream

        with self._shutdown.talking:
            stream = open_stream(opening, callback, userdata)
            self._shutdown.streams.append(stream)
            latency = reported_latency(stream, opening)
            start_stream(stream, opening)
        return latency

    def _block(self, hop: int, source: Device | None, target: Device | None) -> int:
        if self._plan.block is not None:
            return self._plan.block
        if any(d is not None and "JACK" in d.host_api for d in (source, target)):
            return 0  # JACK's own period: any other length adds one block
        return hop if self._plan.latency == "low" else 2 * hop

    def _prepare(
        self, rate: int, channels_in: int, channels_out: int, block_of: Callable[[int], int]
    ) -> tuple[int, Any, np.ndarray]:
        """Prepare record and rings for this rate; return the audible path's hop, the callback and its user data.

        `block_of`: the samples of a block for a method's hop, 0 where the host decides.
        """
        start, callback = self._program(rate)
        if start.network is not None:
            place = self._place(self._plan, start, callback, rate, block_of)
            self._parent.send(place)
            if place.where == "engine":
                self._plan = replace(self._plan, run_in="engine")
                start, callback = self._program(rate)
        self._fill(rate, channels_in, channels_out, start)
        self._rules, self._begun = start.rules, (start, callback)
        start.connect(self._live.ctypes.data, callback)
        hop = self._await_engine() if self._plan.uses_engine else start.hop
        if start.network is not None:
            start.prepare_network(self._live)
            hop = start.network.block.size
        return hop, callback, start.user

    def _program(self, rate: int) -> tuple[Start, Callback]:
        plan = self._plan
        start = start_of(plan.settings, rate, plan.channels, with_network=plan.network_inside)
        return start, process_callback(start)

    def _place(
        self, plan: LivePlan, start: Start, callback: Callback, rate: int, block_of: Callable[[int], int]
    ) -> messages.RunsIn:
        """Where a network runs: in the audio callback, if it is fast enough here."""
        assert start.network is not None
        hop, name = start.network.block.size, plan.settings.can.model
        if plan.run_in == "callback":
            return messages.RunsIn("callback")
        from rtdenoise.live_audio.audio.pace import SHARE_MAX, hop_us

        block = block_of(hop) or min(hop, _USUAL_BLOCK)
        hops = -(-block // hop)  # most that fall into one block
        block_ms = 1e3 * block / rate
        most_ms = SHARE_MAX * block_ms / hops
        took_ms = hop_us(plan.settings, start, callback, rate, plan.channels, 1e3 * most_ms) / 1e3
        what = "a hop takes" if hops == 1 else f"{hops} hops take"
        share = f"{what} {hops * took_ms:.2f} ms of a block's {block_ms:.2f} ms"
        if took_ms <= most_ms:
            return messages.RunsIn("callback", f"{name} runs in the audio callback: {share}")
        line = f"{name} runs in a process of its own: {share}, more than {100 * SHARE_MAX:.0f} %"
        way = "a larger --block or --run-in callback" if block < hop else "a lighter network or --run-in callback"
        return messages.RunsIn("engine", f"{line}; {way} avoids it")

    def _add_network(self, order: messages.AddNetwork) -> None:
        """Give the callback that runs a network that may be switched to; tells the session where it runs."""
        from rtdenoise.live_audio.callback.outside import compile_outside

        live, running, plan = self._live, self._begun[0], messages.unpacked(order.plan)
        rate = int(live["rate"][0])
        try:
            compile_outside(order.plan, rate)
            start = replace(running, network=network_of(plan.settings, rate, plan.channels))
            callback = process_callback(start)
            place = self._place(plan, start, callback, rate, lambda _hop: int(live["block"][0]))
            if place.where == "callback" and start.network is not None and callback.network is not None:
                self._added = start, callback
                running.connect_network(start.network, callback.network)
                start.network.expect(live)
        except ModelError:
            place = messages.RunsIn("engine")  # which says why it cannot be had
        except Exception as error:  # noqa: BLE001 - what cannot be had in the callback may be had in an engine
            line = f"{plan.settings.can.model} runs in a process of its own: {reason(error)}"
            place = messages.RunsIn("engine", line)
        self._parent.send(place)

    def _await_engine(self) -> int:
        """Wait for the engine to be built and fill in its part of the record; return its hop."""
        built = self._parent.wait_for(messages.Built, _ENGINE_START_SECONDS)
        if built is None:
            raise DeviceError("the engine process did not start")
        expect_engine(self._live, built, self._plan.latency)
        hear_engine(self._live)
        self._parent.send(messages.Prepared())
        return built.hop

    def _fill(self, rate: int, channels_in: int, channels_out: int, start: Start) -> None:
        live, settings = self._live, self._plan.settings
        prepare(
            live,
            rate=rate,
            channels=self._plan.channels,
            channels_in=channels_in,
            channels_out=channels_out,
            hop=start.hop,
            latency=start.latency_samples,
        )
        if self._plan.silent:
            live["loudness"] = 0.0
        live["rule"], live["gain_min"] = start.state["rule"][0], start.state["gain_min"][0]
        live["mix"] = settings.spectral.mix
        live["howl_guard"], live["wake_fd"] = int(self._plan.howl_guard), self._wake_fd
        live["wet_target"] = live["weight"] = 0.0 if settings.method == "bypass" else 1.0
        rings = self._region.rings(rate, start.hop, self._plan.channels)
        for ring in rings.values():
            ring[:] = 0.0  # touched now, so that the audio thread takes no page faults
        attach_rings(live, rings)

    def _await_callback(self) -> None:
        """Wait for the first callback, which may never come; the session's watchdog handles that case."""
        limit = time.monotonic() + _FIRST_CALLBACK_SECONDS
        while self._live["callbacks"][0] == 0 and time.monotonic() < limit:
            time.sleep(0.002)

    def _grants(self) -> list[scheduling.Grant]:
        """Request real-time priority for the audio thread, known after the first callback, and lock memory."""
        thread = int(self._live["thread_id"][0])
        priority = (
            scheduling.request_priority(thread, scheduling.PRIORITY_AUDIO)
            if thread
            else scheduling.Grant(
                name="real-time priority", granted=True, detail="left to the sound system's own threads"
            )
        )
        return [priority, scheduling.lock_memory(), scheduling.freeze_garbage()]

    def _watch(self, ports: JackPorts | None) -> None:
        live, looked = self._live, time.monotonic()
        while live["phase"][0] != FINISHED:
            order = self._parent.wait_for(messages.AddNetwork, _POLL_SECONDS)
            if order is not None and not live["engine_inside"][0]:  # in a thread: it measures at the pace of audio
                Thread(target=self._add_network, args=(order,), daemon=True).start()
            if ports is not None and time.monotonic() - looked > _LOOK_SECONDS:
                looked = time.monotonic()
                with self._shutdown.talking:
                    gone = ports.gone
                if gone:
                    self._parent.send(messages.TargetGone())
                    ports = None
        lead = float(live["play_target"][0]) + 3 * float(live["block"][0])
        time.sleep(min(0.1, lead / float(live["rate"][0])))
        self._parent.send(messages.Finished())

    def _ports_of(self, target: Device | None) -> JackPorts | None:
        """Open before any stream: after a refusal, JACK's library fails in this process, even for disconnects."""
        with self._shutdown.talking:
            ports = ports_of(target)
            if ports is not None:
                self._shutdown.streams.append(ports)
        return ports


def _no_device() -> NoReturn:
    raise DeviceError("there is no device to open")


def main(beginning: Beginning | None = None) -> None:
    """Read the plan from the first order, run it, and report any error in one line."""
    scheduling.end_with_parent()
    beginning = beginning or Beginning()
    parent, shutdown = beginning.parent, beginning.shutdown
    machine_code.stamps()  # until the order comes
    order = parent.wait_for(messages.Open, 30.0)
    if order is None:
        return
    region = Region(order.region)
    worker = Worker(messages.unpacked(order.plan), region, order.wake_fd, parent, shutdown)
    code = 0
    try:
        worker.run()
    except RefusedError:
        parent.send(messages.Refused())
        os._exit(1)  # no orderly disconnect: the server is unreachable, and PortAudio would abort
    except Exception as error:  # noqa: BLE001 - reported to the session, which decides
        parent.send(messages.Failed.of(error, DeviceError))
        code = 1
    shutdown.leave(code, _SHUTDOWN_SECONDS)
