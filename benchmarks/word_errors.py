"""What methods and attenuation limits do to the word errors of speech recognition, in noise and without.

    python -m benchmarks.word_errors --data manifest.csv --whisper FOLDER --clips 60 -o words
    python -m benchmarks.word_errors --data manifest.csv --whisper FOLDER --methods WF:low,CAN:can-small

The manifest has speech with a column ``text``, and noise.  ``--whisper`` is a model of `faster-whisper` (CTranslate2),
decoded greedily in this process; without it PocketSphinx listens, whose model is far from today's recognisers.
"""

from __future__ import annotations

import argparse
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

from rtdenoise.errors import RtDenoiseError
from rtdenoise.evaluate.words.recognisers import Recogniser, parse_recogniser
from rtdenoise.evaluate.words.session import Request, evaluate_words
from rtdenoise.typing import F32

METHODS = (
    "WF:balanced",
    "WF:balanced+attenuation_limit_db=12",
    "WF:balanced+attenuation_limit_db=6",
    "WF:balanced+attenuation_limit_db=3",
    "WF:balanced+mix=0.5",
)


@lru_cache(maxsize=1)
def whisper_model(folder: Path) -> Any:
    from faster_whisper import WhisperModel

    return WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=1)


def whisper(folder: Path, language: str) -> Recogniser:
    def hear(signal: F32) -> str:
        segments, _ = whisper_model(folder).transcribe(
            signal,
            language=language,
            beam_size=1,
            temperature=0.0,
            condition_on_previous_text=False,
            without_timestamps=True,
        )
        return " ".join(segment.text for segment in segments)

    return Recogniser("whisper", hear, f"{folder.resolve()} {language} greedy int8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="manifest.csv with speech, transcripts and noise")
    parser.add_argument("--split", default="dev")
    parser.add_argument("--tiers", default="A,B", help="of speech (default %(default)s)")
    parser.add_argument("--whisper", type=Path, help="folder of a model")
    parser.add_argument("--language", default="en")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--snr", default="0,5,10,15", help="dB (default %(default)s)")
    parser.add_argument("--clips", type=int, default=60, help="utterances (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, default=Path("words"))
    options = parser.parse_args()
    try:
        heard_by = whisper(options.whisper, options.language) if options.whisper else parse_recogniser("pocketsphinx")
        answer = evaluate_words(
            Request(
                speech=options.data,
                noise=options.data,
                recognisers=(heard_by,),
                own=tuple(options.methods.split(",")),
                output=options.output,
                split=options.split,
                tiers=tuple(filter(None, options.tiers.split(","))),
                snrs_db=tuple(map(float, options.snr.split(","))),
                count=options.clips,
                seed=options.seed,
            ),
            lambda done, total: print(f"\r{done} of {total}", end="", file=sys.stderr, flush=True),
        )
    except RtDenoiseError as error:
        print(f"word_errors: {error}", file=sys.stderr)
        return 1
    print(answer.markdown)
    return 0


if __name__ == "__main__":
    sys.exit(main())
