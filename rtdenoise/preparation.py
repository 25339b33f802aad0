"""Compile ahead of use, for images, servers and installers: whatever is prepared here starts at once later."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter

import numpy as np

from rtdenoise import api, rates
from rtdenoise.cache import entries, folders, processors
from rtdenoise.config import load_settings, method_with, preset_names
from rtdenoise.errors import ConfigError, RtDenoiseError, shortened

RATES_HZ = (16000, 44100, 48000)
"""Rates that are prepared if none is named."""

_PRESETS = ("balanced", "quality", "low")
_MODELS = ("can-live", "can-small")
_FEW_RATES_HZ = (16000, 48000)
_SECONDS = 1.0  # of silence: what is compiled does not depend on the sound


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """One thing that is ready: `name` is a preset or a network; `seconds` it took; `processor` it is compiled for."""

    method: str
    name: str
    sample_rate: int
    channels: int
    processor: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """What is to be prepared; `live`: the audio callback, too."""

    method: str
    preset: str | None
    model: str | None
    sample_rate: int
    channels: int
    live: bool

    @property
    def name(self) -> str:
        """The preset or the network."""
        return self.model or self.preset or ""


def prepare(
    method: str | None = None,
    *,
    preset: str | None = None,
    sample_rate: int | Sequence[int] | None = None,
    channels: int = 1,
    model: str | None = None,
    live: bool = True,
    to: str | Path | None = None,
    portable: bool = False,
    on_item: Callable[[Prepared], None] = lambda _: None,
) -> list[Prepared]:
    """Compile what a method needs now, so that its first use later takes no time.

    Compiled code is kept in the cache, for all processes of this user.

    Parameters
    ----------
    method : "WF", "SS", "CAN" or "bypass", optional
        WF and the shipped networks "can-live" and "can-small" if neither this nor `model` is given.
    preset : str, optional
        "balanced", "quality" and "low" if not given.
    sample_rate : int or sequence of int, optional
        In Hz; 16, 44.1 and 48 kHz if not given.
    channels : int
    model : str, optional
        A network by its name or folder; implies "CAN".
    live : bool
        Live audio, too; takes twice as long.
    to : path, optional
        A folder for the compiled code, in place of the cache: set ``RTDENOISE_CACHE_DIR`` to it where it is used.
    portable : bool
        Compile for every machine of this kind of processor rather than for this one; needs `to`.
    on_item : callable
        Called with each thing that is ready.

    Returns
    -------
    list of Prepared

    Raises
    ------
    ConfigError
        As for `rtdenoise.stream`; for `portable` without `to`; if `to` cannot be written.

    Examples
    --------
    >>> import rtdenoise
    >>> [ready.name for ready in rtdenoise.prepare("WF", preset="ultra", sample_rate=8000)]
    ['ultra']
    """
    items = list(_items(method, preset, sample_rate, channels, model, live))
    if to is None:
        if portable:
            raise ConfigError("portable=True makes code for other machines; name a folder for it with to=")
        return [_ready(item, on_item) for item in items]
    folder = Path(to).absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"{folder}: no compiled code can be kept there: {error.strerror}; name another folder"
        ) from error
    done = []
    for name in processors.portable_names(platform.machine()) if portable else ("",):
        done += _in_child(items, folder, name, on_item)
    return done


def _items(
    method: str | None,
    preset: str | None,
    sample_rate: int | Sequence[int] | None,
    channels: int,
    model: str | None,
    live: bool,
) -> Iterator[Item]:
    chosen = method_with(model, method)
    if preset is not None and preset not in preset_names():
        load_settings(preset=preset)  # says what is allowed
    given = (sample_rate,) if isinstance(sample_rate, int) or sample_rate is None else tuple(sample_rate)
    for method_name in ("WF", "CAN") if chosen is None else (chosen.upper() if chosen != "bypass" else chosen,):
        few = method_name == "CAN" and chosen is None
        hz = [rates.check_rate(rate) for rate in given if rate is not None] or list(_FEW_RATES_HZ if few else RATES_HZ)
        for rate in hz:
            if method_name == "CAN":
                for network in (model,) if model is not None else _MODELS:
                    yield Item(method="CAN", preset=None, model=network, sample_rate=rate, channels=channels, live=live)
            else:
                for name in (preset,) if preset is not None else _PRESETS:
                    yield Item(
                        method=method_name, preset=name, model=None, sample_rate=rate, channels=channels, live=live
                    )


def _ready(item: Item, on_item: Callable[[Prepared], None]) -> Prepared:
    started = perf_counter()
    shape = (round(_SECONDS * item.sample_rate), item.channels)
    silence = np.zeros(shape if item.channels > 1 else shape[0], np.float32)
    if item.live:  # first: a callback shall not be put together from what is compiled for other records
        _live_ready(item)
    api.denoise(silence, item.sample_rate, item.method, preset=item.preset, model=item.model)
    done = Prepared(
        method=item.method,
        name=item.name,
        sample_rate=item.sample_rate,
        channels=item.channels,
        processor=os.environ.get(processors.NAME_VARIABLE) or "this one",
        seconds=round(perf_counter() - started, 2),
    )
    on_item(done)
    return done


def _live_ready(item: Item) -> None:
    """Compile the audio callback, too."""
    from rtdenoise.live_audio.callback import programs
    from rtdenoise.live_audio.plan import LivePlan

    settings = load_settings(
        method=item.method, preset=item.preset, overrides={"can": {"model": item.model}} if item.model else None
    )
    inside = LivePlan(settings=settings, channels=item.channels).network_inside
    programs.process_callback(programs.start_of(settings, item.sample_rate, item.channels, with_network=inside))
    programs.playback_callback()


def _in_child(items: list[Item], folder: Path, processor: str, on_item: Callable[[Prepared], None]) -> list[Prepared]:
    """Prepare in another process, which compiles into `folder` from the start, for a named processor or this one."""
    variables = {folders.VARIABLE: str(folder), **(processors.environment(processor) if processor else {})}
    done = []
    with subprocess.Popen(
        [sys.executable, "-m", "rtdenoise.preparation"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | variables,
        text=True,
    ) as child:
        assert child.stdin is not None and child.stdout is not None
        child.stdin.write(json.dumps([asdict(item) for item in items]))
        child.stdin.close()
        for line in child.stdout:
            answer = json.loads(line)
            if "error" in answer:
                raise ConfigError(answer["error"])
            done.append(Prepared(**answer))
            on_item(done[-1])
    if child.returncode != 0:
        raise RtDenoiseError(f"the process that compiles has ended with {shortened(child.returncode)}; out of memory?")
    return done


def _main() -> None:
    """Prepare what standard input names, one line of JSON to standard output for each."""
    try:
        if entries.writable() != folders.chosen():
            raise ConfigError(f"{folders.chosen()}: no compiled code can be kept there; name a folder you can write to")
        entries.gather()
        for values in json.load(sys.stdin):
            _ready(Item(**values), lambda done: print(json.dumps(asdict(done)), flush=True))  # noqa: T201
    except RtDenoiseError as error:
        print(json.dumps({"error": str(error)}), flush=True)  # noqa: T201


if __name__ == "__main__":
    _main()
