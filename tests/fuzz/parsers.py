"""The parsers that are written in Python, fed with bytes: an answer that fits the file, or our error.

A call takes microseconds, so that a fuzzer that is led by coverage (the package atheris) gets far:
``pip install atheris``, then ``python -m tests.fuzz --engine atheris --minutes 10``.
"""

from __future__ import annotations

import sys
import tempfile
from io import BytesIO
from itertools import islice
from pathlib import Path

_MODULES = ["rtdenoise.sound", "rtdenoise.methods.can.spec", "rtdenoise.methods.can.checks"]
_SECONDS_MAX = 20  # for one input: more is a finding
_BYTES_MAX = 1 << 15
_FRAMES = 8
PREFIX = "parsers-"


def check(data: bytes, place: Path) -> None:
    """Parse `data` as all that it may be; raises what must not be.

    Parameters
    ----------
    data : bytes
    place : Path
        A file to write it to, for parsers that open theirs.
    """
    from rtdenoise.errors import RtDenoiseError
    from rtdenoise.methods.can.spec import load_spec
    from rtdenoise.sound.containers import covers, flac, mpeg, oggpages, plain, sniff
    from rtdenoise.sound.containers.splice import Splice
    from rtdenoise.sound.containers.survey import survey

    place.write_bytes(data)
    kind = sniff.kind_of(data[: sniff.HEAD_BYTES])
    assert kind is None or kind.suffix.startswith(".")
    sniff.kind_of_file(place)
    found = survey(place, len(data))
    for pieces in found.links:
        _fit(pieces, len(data))
        with Splice(place, pieces) as spliced:
            spliced.read(256)
    for parser in (oggpages.walk, plain.find_samples):
        parser(BytesIO(data), len(data))
    start = mpeg.after_id3(BytesIO(data))
    if mpeg.is_mp3(BytesIO(data), min(start, len(data))):
        mpeg.walk(BytesIO(data), min(start, len(data)), len(data))
    info = flac.read_stream_info(BytesIO(data), start)
    if info is not None:
        for at, first in islice(flac.frames_from(place, info, 0), _FRAMES):
            assert 0 < at < len(data) and first > 0
    for container in ("FLAC", "MP3"):
        covers.add_covers(BytesIO(data), covers.covers_of(place, container)) if len(data) > 64 else None
    try:
        load_spec(place)
    except RtDenoiseError as error:
        assert "\n" not in str(error)


def _fit(pieces: object, size: int) -> None:
    assert isinstance(pieces, tuple)
    for piece in pieces:
        assert isinstance(piece, bytes) or 0 <= piece[0] <= piece[1] <= size, pieces


def run(minutes: float, seeds: Path, seed: int) -> None:
    """Fuzz for some minutes; a finding is kept in `seeds` and ends the process, as does the time."""
    import atheris

    with atheris.instrument_imports(include=_MODULES):
        import rtdenoise.methods.can.spec
        import rtdenoise.sound.containers.covers
        import rtdenoise.sound.containers.survey  # noqa: F401

    from rtdenoise.methods.can.models import models_folder
    from tests.fuzz.targets import media, sounds

    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        corpus, place = Path(folder) / "corpus", Path(folder) / "input"
        corpus.mkdir()
        good = [*sounds(), *media(), (models_folder() / "can-small" / "spec.json").read_bytes()]
        for number, data in enumerate(good):
            (corpus / str(number)).write_bytes(data[:_BYTES_MAX])
        seeds.mkdir(exist_ok=True)
        limits = [f"-max_len={_BYTES_MAX}", f"-timeout={_SECONDS_MAX}", f"-max_total_time={round(60 * minutes)}"]
        where = [f"-seed={seed % (1 << 32)}", f"-artifact_prefix={seeds}/{PREFIX}", str(corpus)]
        atheris.Setup([sys.argv[0], *limits, *where], lambda data: check(data, place))
        atheris.Fuzz()
