"""Word errors of transcripts, with intervals by bootstrap over utterances."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rtdenoise.errors import MissingExtraError
from rtdenoise.evaluate.report.statistics import interval, resampled
from rtdenoise.typing import F64


@dataclass(frozen=True, slots=True)
class Count:
    """Words of a transcript, and how many were substituted, left out or put in."""

    words: int
    errors: int


def plain_words(text: str) -> str:
    """Lower case, letters, digits and apostrophes inside words only; what counts as a word error is then a word."""
    folded = unicodedata.normalize("NFKC", text).lower().replace("\u2019", "'")
    return " ".join(word.strip("'") for word in re.sub(r"[^\w']+|_", " ", folded).split() if word.strip("'"))


def count(transcript: str, hypothesis: str) -> Count:
    """Compare a transcript with what a recogniser made of it.

    Raises
    ------
    MissingExtraError
        Without the package jiwer.
    """
    try:
        import jiwer
    except ModuleNotFoundError as error:
        raise MissingExtraError("word errors need jiwer: pip install 'rtdenoise[asr]'") from error
    reference, answer = plain_words(transcript), plain_words(hypothesis)
    if not reference:
        return Count(0, len(answer.split()))
    found = jiwer.process_words(reference, answer)
    return Count(len(reference.split()), found.substitutions + found.deletions + found.insertions)


def rate_interval(counts: Sequence[Count]) -> dict[str, float]:
    """Errors over words of all utterances: ``rate``, ``low``, ``high`` (95 %), ``words`` and ``n`` of utterances."""
    words, errors = _columns(counts)
    return _interval(float(errors.sum() / max(words.sum(), 1.0)), _ratios(errors, words), counts)


def difference_interval(counts: Sequence[Count], reference: Sequence[Count]) -> dict[str, float]:
    """`rate_interval` of the rate less that of `reference` on the same utterances, which are drawn in pairs."""
    words, errors = _columns(counts)
    more = errors - _columns(reference)[1]
    return _interval(float(more.sum() / max(words.sum(), 1.0)), _ratios(more, words), counts)


def _columns(counts: Sequence[Count]) -> tuple[F64, F64]:
    return np.array([c.words for c in counts], np.float64), np.array([c.errors for c in counts], np.float64)


def _ratios(errors: F64, words: F64) -> F64:
    """Errors over words of utterances drawn with replacement, the same utterances for both."""
    return np.asarray(resampled(errors).sum(axis=1) / np.maximum(resampled(words).sum(axis=1), 1.0))


def _interval(rate: float, rates: F64, counts: Sequence[Count]) -> dict[str, float]:
    low, high = interval(rates)
    words = sum(c.words for c in counts)
    return {"rate": rate, "low": low, "high": high, "words": words, "n": len(counts)}
