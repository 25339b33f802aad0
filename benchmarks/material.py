"""Options of benchmarks that mix recordings: where speech and noise are, and which of them."""

from __future__ import annotations

import argparse
from collections.abc import Collection
from pathlib import Path


def add_material(parser: argparse.ArgumentParser, *, tiers: str, labels: str) -> None:
    """Add the options; `tiers` is a default, `labels` says which noises are used by default."""
    parser.add_argument("--data", type=Path, help="manifest.csv with speech and noise")
    parser.add_argument("--speech", type=Path, help="folder or manifest.csv of clean speech, instead of --data")
    parser.add_argument("--noise", type=Path, help="folder or manifest.csv of noise, instead of --data")
    parser.add_argument("--split", default="dev", help="rows of a manifest to use (default %(default)s)")
    parser.add_argument("--tiers", default=tiers, help="speech tiers of a manifest to use (default %(default)s)")
    parser.add_argument("--labels", default="", help=f"noise labels, comma-separated; 'all'; default: {labels}")


def check_material(parser: argparse.ArgumentParser, options: argparse.Namespace) -> None:
    """Let ``--data`` stand for both ``--speech`` and ``--noise``; exit with one line if one is missing."""
    options.speech, options.noise = options.speech or options.data, options.noise or options.data
    if options.speech is None or options.noise is None:
        parser.error("give --data MANIFEST, or --speech and --noise")


def check_cases(parser: argparse.ArgumentParser, options: argparse.Namespace, known: Collection[str]) -> None:
    """Make a list of ``--cases``; exit with one line if it has others than those `known`, or none."""
    options.cases = [name for name in options.cases.split(",") if name]
    unknown = sorted(set(options.cases) - set(known))
    if unknown or not options.cases:
        parser.error(f"--cases {','.join(unknown)!r}: give some of {','.join(known)}")
