"""Fit the constants of WF's a priori SNR from recordings of speech and noise.

Mixtures and features are made once per work folder; then the regression from 20 bands for WF and its second output for
SS (``context.npz``), and the regression per bin on top of the first (``fine.npz``).  Constants are read from the
package while features are made, so copy ``context.npz`` there before the step ``fine``.  Needs torch besides
``rtdenoise[eval]``.

    python -m benchmarks.fit_prior --data DIR --work WORK --out models/wf-prior
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.fit_prior.material import make_mixtures, write_features

FRAMINGS = {"balanced": (512, 256, 128), "low": (512, 128, 64), "quality": (512, 512, 128)}
"""Frame, span and hop in samples at 16 kHz."""

SKIPPED = (
    *(
        "music",
        "jazz",
        "piano",
        "church_bells",
        "rooster",
        "hens",
        "sheep",
        "owls",
        "farm",
        "cat",
        "cow",
        "pig",
        "frog",
    ),
    *("osfx", "footsteps:", "door:", "impact", "tool:", "vehicle:", "keyboard_", "bg", "drinking", "can_opening"),
)
"""Beginnings of the noise labels that are left out: music, animals nobody talks beside, a second of this or that."""

STEADY = (
    *(
        "rain",
        "waves",
        "wind",
        "storm",
        "construction",
        "dishwasher",
        "helicopter",
        "fire",
        "chainsaw",
        "sea_",
        "thunder",
    ),
    *("train", "vacuum", "washing", "engine", "air", "siren", "playground", "city", "street", "coffee", "car_engine"),
    *(
        "crowd",
        "applause",
        "clapping",
        "brushing",
        "hand_saw",
        "keyboard",
        "stream_water",
        "running_tap",
        "nature/weather",
    ),
)
"""Beginnings of the labels that come four times as often: what goes on while people talk."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder or manifest.csv of speech and noise")
    parser.add_argument("--work", type=Path, required=True, help="folder for mixtures, features and states")
    parser.add_argument("--out", type=Path, required=True, help="folder for context.npz and fine.npz")
    parser.add_argument("--clips", type=int, default=1600, help="mixtures of 4 s (default 1600)")
    parser.add_argument("--fine-clips", type=int, default=700, help="of them for the second fit (default 700)")
    parser.add_argument("--seed", type=int, default=4242)
    parser.add_argument("--context-minutes", type=float, default=12.0)
    parser.add_argument("--snr-minutes", type=float, default=5.0)
    parser.add_argument("--fine-minutes", type=float, default=30.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", default="context,snr,fine", help="which fits to run (default both)")
    options = parser.parse_args()
    make_mixtures(options.data, options.work, options.clips, options.seed, SKIPPED, STEADY)
    from benchmarks.fit_prior.fit import fit_context, fit_fine, fit_snr

    steps = options.steps.split(",")
    if "context" in steps:
        share = options.clips // 4
        for name, framing in FRAMINGS.items():
            clips = range(0, 3 * share) if name == "balanced" else range(2 * share, 3 * share + share // 2)
            write_features(options.work, name, framing, clips, "context")
            print(f"features of {name}: {len(clips)} clips", flush=True)
        firsts = {name: 0 if name == "balanced" else 2 * share for name in FRAMINGS}
        fit_context(options.work, options.out, FRAMINGS, firsts, options.context_minutes, options.threads)
    if "snr" in steps:
        write_features(options.work, "snr", FRAMINGS["balanced"], range(options.clips // 2), "snr")
        fit_snr(options.work, options.out, FRAMINGS["balanced"], options.snr_minutes, options.threads)
    if "fine" in steps:
        write_features(options.work, "fine", FRAMINGS["quality"], range(options.fine_clips), "fine")
        fit_fine(options.work, options.out, FRAMINGS["quality"], options.fine_minutes, options.threads)


if __name__ == "__main__":
    main()
