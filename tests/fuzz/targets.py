"""What is fuzzed: good inputs, how they are damaged, and the one command that gets them.

Whatever the input, a command ends with exit code 0, 1 or 2; after an error there is one line on standard error, and
nothing half-written.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import random
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import yaml

from rtdenoise.cli.entry import run as run_command
from rtdenoise.disk.shipped import data_folder
from rtdenoise.methods.can.models import models_folder, write_checksums
from tests.fuzz.apart import Ended, folder, run_apart
from tests.fuzz.mutate import changed, damaged

RATE_HZ = 16000
_OF_MPG123 = re.compile(r"mpg123|MPEG-Header|MPEG header|Xing|VBR|^Note: |^Warning: ")  # libsndfile's decoder prints


@dataclass(frozen=True)
class Target:
    """One kind of input.

    Attributes
    ----------
    name : str
    good : callable
        Valid inputs, as bytes.
    draw : callable
        ``draw(rng, good) -> bytes``: one input that may be anything.
    command : callable
        ``command(place, data) -> arguments``: writes the input under `place` and says what is called.
    makes : tuple of str
        Files that the command may leave when it fails: what it was given.
    """

    name: str
    good: Callable[[], list[bytes]]
    draw: Callable[[random.Random, list[bytes]], bytes]
    command: Callable[[Path, bytes], list[str]]
    makes: tuple[str, ...]
    reads_stdin: bool = False


@cache
def warm_up(target: Target) -> None:
    """Give `target` a good input in this process: what it imports and compiles, the forked ones have then."""
    if not target.reads_stdin:
        with folder() as place, _inside(place):
            run_command(target.command(place, _first(target)))


@contextlib.contextmanager
def _inside(place: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(place)
    try:
        yield
    finally:
        os.chdir(before)


def _first(target: Target) -> bytes:
    good = target.good()[0]
    return bytes([1, 1]) + target.good()[1] if target.name == "model" else good


def findings(target: Target, data: bytes) -> list[str]:
    """What is wrong with how `target` takes `data`; empty if nothing is."""
    warm_up(target)
    with folder() as place:
        arguments = target.command(place, data)
        stdin = place / target.makes[0] if target.reads_stdin else None
        return _judged(run_apart(lambda: run_command(arguments), place, stdin), target)


def _judged(ended: Ended, target: Target) -> list[str]:
    found = []
    lines = [line for line in ended.err.splitlines() if line.strip() and not _OF_MPG123.search(line)]
    if ended.code is None:
        found.append("does not end")
    elif ended.code < 0 or ended.code not in (0, 1, 2):
        found.append(f"ends with {ended.code}: {' | '.join(lines[-3:])}")
    if "Traceback" in ended.err:
        found.append(f"traceback: {lines[-1]}")
    if ended.code in (1, 2) and not any(line.startswith("rtdenoise: error: ") for line in lines):
        found.append(f"fails without an error line: {' | '.join(lines[-2:])}")
    if any(not line.startswith("rtdenoise: ") for line in lines):
        found.append(
            f"says something that is no line of ours: {next(x for x in lines if not x.startswith('rtdenoise: '))}"
        )
    hidden = [name for name in ended.files if Path(name).name.startswith(".")]
    left = [name for name in ended.files if name.split("/")[0] not in target.makes]
    if hidden or (ended.code in (1, 2) and left and not _said_missing(lines)):
        found.append(f"leaves {', '.join(hidden or left)}")
    return found


def _said_missing(lines: list[str]) -> bool:
    """A file of which a part could not be read is written as far as it goes, and said to lack sound."""
    said = (
        "missing",
        "damaged",
        "shorter than",
        "appended",
        "ends after",
        "before the end",
        "left out",
        "could not be decoded",
        "cut off",
    )
    return any(word in line for line in lines for word in said)


@lru_cache(maxsize=1)
def sounds() -> list[bytes]:
    """The same third of a second in every container and sample format that libsndfile writes."""
    rng = np.random.default_rng(1)
    mono = 0.1 * rng.standard_normal(RATE_HZ // 3)
    stereo = np.stack([mono, np.roll(mono, 7)], 1)
    made = []
    for form in soundfile.available_formats():
        for subtype in soundfile.available_subtypes(form):
            if form in ("RAW", "SD2", "SDS", "HTK") or not soundfile.check_format(form, subtype):
                continue
            memory = io.BytesIO()
            try:
                soundfile.write(memory, mono if len(made) % 2 else stereo, RATE_HZ, format=form, subtype=subtype)
            except (soundfile.LibsndfileError, TypeError):
                continue
            if memory.getvalue():
                made.append(memory.getvalue())
    return made


@lru_cache(maxsize=1)
def media() -> list[bytes]:
    """A second of a tone in the containers of phones and video."""
    import av

    tone = (0.1 * np.sin(np.arange(48000) * 0.06)).astype(np.float32)[None]
    made = []
    for form, codec in (("mp4", "aac"), ("webm", "libopus"), ("matroska", "flac"), ("adts", "aac"), ("asf", "wmav2")):
        memory = io.BytesIO()
        with av.open(memory, "w", format=form) as container:
            stream = container.add_stream(codec, rate=48000, layout="mono")
            stream.bit_rate = 64000
            for start in range(0, tone.shape[1], 960):
                frame = av.AudioFrame.from_ndarray(tone[:, start : start + 960], format="fltp", layout="mono")
                frame.sample_rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        made.append(memory.getvalue())
    return made


def _draw_bytes(rng: random.Random, good: list[bytes]) -> bytes:
    return damaged(rng, rng.choice(good), good)


def _file_command(place: Path, data: bytes) -> list[str]:
    (place / "in").write_bytes(data)
    return ["-f", "in", "-o", "out.wav", "-a", "bypass", "-q"]


def _named_command(place: Path, data: bytes) -> list[str]:
    """The suffix may lie."""
    suffix = (".wav", ".flac", ".mp3", ".ogg", ".raw", ".m4a")[len(data) % 6]
    (place / f"in{suffix}").write_bytes(data)
    return ["-f", f"in{suffix}", "-a", "bypass", "-q", "-o", "out.wav"]


def _pipe_command(place: Path, data: bytes) -> list[str]:
    (place / "in").write_bytes(data)
    options = [[], ["--rate", "16000"], ["--rate", "8000", "--channels", "2", "--format", "s24"]][len(data) % 3]
    return ["-f", "-", "-o", "out.wav", "-a", "bypass", "-q", *options]


def _yaml_draw(rng: random.Random, good: list[bytes]) -> bytes:
    if rng.random() < 0.3:
        return damaged(rng, rng.choice(good), good)
    return yaml.safe_dump(changed(rng, yaml.safe_load(rng.choice(good)))).encode(errors="replace")


def _presets() -> list[bytes]:
    return [data_folder("configs").joinpath(f"{name}.yaml").read_bytes() for name in ("low", "balanced")] + [
        b"method: bypass\nmix: 0.5\n",
        b"method: CAN\ncan: {model: can-small, engine: numba}\n",
    ]


def _config_command(place: Path, data: bytes) -> list[str]:
    (place / "a.yaml").write_bytes(data)
    (place / "in").write_bytes(_short_wav())
    return ["-f", "in", "-o", "out.wav", "-a", "bypass", "-q", "--config", "a.yaml"]


@lru_cache(maxsize=1)
def _short_wav() -> bytes:
    memory = io.BytesIO()
    soundfile.write(memory, np.zeros(800), RATE_HZ, format="WAV")
    return memory.getvalue()


def _trainings() -> list[bytes]:
    names = ("can-live", "can-small", "germain2018", "feature-network")
    return [data_folder("configs").joinpath(f"{name}.yaml").read_bytes() for name in names]


def _training_command(place: Path, data: bytes) -> list[str]:
    (place / "a.yaml").write_bytes(data)
    (place / "empty").mkdir()
    return ["train", "a.yaml", "--data", "empty", "--run", "run", "--cache", "cache", "-q"]


_MODEL_FILES = ("spec.json", "weights.npz", "SHA256SUMS")


def _model_draw(rng: random.Random, good: list[bytes]) -> bytes:
    """A file's number, whether its checksum is made anew, and its content."""
    number = rng.randrange(len(_MODEL_FILES))
    content = good[number]
    if number == 0 and rng.random() < 0.7:
        content = json.dumps(changed(rng, json.loads(content))).encode()
    else:
        content = damaged(rng, content, good)
    return bytes([number, rng.random() < 0.8]) + content


def _model_files() -> list[bytes]:
    return [(models_folder() / "can-small" / name).read_bytes() for name in _MODEL_FILES]


def _model_command(place: Path, data: bytes) -> list[str]:
    """A changed specification is run by LiteRT: the compiled hop would be compiled anew for each."""
    model = place / "model"
    shutil.copytree(models_folder() / "can-small", model, ignore=shutil.ignore_patterns("model-int8*", "start.npz"))
    name = _MODEL_FILES[data[0] % len(_MODEL_FILES)]
    (model / name).write_bytes(data[2:])
    if data[1] and name != "SHA256SUMS":
        write_checksums(model)
    (place / "in").write_bytes(_short_wav())
    engine = "litert" if name == "spec.json" else "numba"
    return ["-f", "in", "-o", "out.wav", "-a", "CAN", "--set", "can.model=model", "--set", f"can.engine={engine}", "-q"]


def _manifests() -> list[bytes]:
    rows = [
        ["path", "kind", "split", "label", "seconds", "tier", "source", "licence"],
        ["a.wav", "speech", "dev", "anna", "1.0", "A", "here", "CC0"],
        ["b.wav", "speech", "dev", "ben", "1.0", "A", "here", "CC0"],
        ["n.wav", "noise", "dev", "rain", "1.0", "", "here", "CC0"],
    ]
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return [text.getvalue().encode(), text.getvalue().replace(",", ";").encode("utf-8-sig")]


def _manifest_command(place: Path, data: bytes) -> list[str]:
    (place / "manifest.csv").write_bytes(data)
    rng = np.random.default_rng(2)
    for name in "abn":
        soundfile.write(place / f"{name}.wav", 0.1 * rng.standard_normal(RATE_HZ), RATE_HZ)
    (place / "t.yaml").write_text("network: can-small\nloss: [{term: l1}]\ncrop_seconds: 0.2\n")
    return ["train", "t.yaml", "--data", ".", "--dry-run", "--run", "run", "--cache", "cache", "-q"]


TARGETS = {
    target.name: target
    for target in (
        Target("file", sounds, _draw_bytes, _file_command, ("in",)),
        Target(
            "suffix",
            sounds,
            _draw_bytes,
            _named_command,
            tuple(f"in.{s}" for s in (["wav", "flac", "mp3", "ogg", "raw", "m4a"])),
        ),
        Target("media", media, _draw_bytes, _file_command, ("in",)),
        Target("pipe", sounds, _draw_bytes, _pipe_command, ("in",), reads_stdin=True),
        Target("preset", _presets, _yaml_draw, _config_command, ("in", "a.yaml")),
        Target("training", _trainings, _yaml_draw, _training_command, ("a.yaml", "empty", "cache", "run")),
        Target("model", _model_files, _model_draw, _model_command, ("in", "model")),
        Target(
            "manifest",
            _manifests,
            _draw_bytes,
            _manifest_command,
            ("manifest.csv", "a.wav", "b.wav", "n.wav", "t.yaml", "cache", "run"),
        ),
    )
}


def draw(target: Target, seed: int) -> bytes:
    """The input with this number; the same every time."""
    rng: Any = random.Random(seed)
    return target.draw(rng, target.good())
