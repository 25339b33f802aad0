"""Recognisers of speech as functions from samples to text: a program, or PocketSphinx in this process."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib.util import find_spec
from typing import Any

import numpy as np

from rtdenoise.errors import ConfigError, MissingExtraError
from rtdenoise.evaluate.compared.external import ask_command, words_of
from rtdenoise.evaluate.machine import installed_version
from rtdenoise.evaluate.signals import SAMPLE_RATE_HZ
from rtdenoise.typing import F32

SPHINX = "pocketsphinx"


@dataclass(frozen=True, slots=True)
class Recogniser:
    """`hear`: ``(n,)`` float32 at 16 kHz to text; `fingerprint` changes when its answers may."""

    name: str
    hear: Callable[[F32], str]
    fingerprint: str


def parse_recogniser(text: str) -> Recogniser:
    """``pocketsphinx``, or ``NAME=command {in}`` for a program that prints what it heard.

    Raises
    ------
    ConfigError
        For anything else, or a program that is not there.
    MissingExtraError
        For PocketSphinx without its package.
    """
    name, equals, command = text.partition("=")
    if not equals and name == SPHINX:
        return sphinx()
    if not name or "{in}" not in command:
        raise ConfigError(f"--asr {text!r}: give {SPHINX}, or NAME=command with {{in}} for a WAV file")
    program = words_of(command, "--asr")[0]
    if shutil.which(program) is None:
        raise ConfigError(f"--asr {name}: there is no program {program!r}; give its full path")
    return Recogniser(name, partial(ask_command, command), hashlib.sha256(command.encode()).hexdigest()[:16])


def sphinx() -> Recogniser:
    """PocketSphinx with the American English model of its wheel.

    Raises
    ------
    MissingExtraError
        Without the package.
    """
    if find_spec(SPHINX) is None:
        raise MissingExtraError(
            "recognising speech needs pocketsphinx: pip install 'rtdenoise[asr]', or --asr 'NAME=command {in}'"
        )
    return Recogniser(SPHINX, _run_sphinx, f"{SPHINX} {installed_version(SPHINX)}")


@lru_cache(maxsize=1)
def _decoder() -> Any:
    from pocketsphinx import Decoder

    return Decoder(samprate=SAMPLE_RATE_HZ, cmn="batch", loglevel="FATAL")  # "live" would remember the one before


def _run_sphinx(signal: F32) -> str:
    decoder = _decoder()
    decoder.start_utt()
    samples = np.round(np.clip(signal, -1.0, 32767 / 32768) * 32768).astype("<i2")
    decoder.process_raw(samples.tobytes(), no_search=False, full_utt=True)
    decoder.end_utt()
    best = decoder.hyp()
    return best.hypstr if best is not None else ""
