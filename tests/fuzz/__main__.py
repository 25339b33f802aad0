"""Fuzz the package for some minutes: ``python -m tests.fuzz --minutes 10``.

Damaged inputs go one after the other to the command that takes them, each in a process of its own.  What crashes,
hangs, ends in a traceback, fails without a line or leaves something behind is kept in tests/fuzz/seeds, where the test
suite finds it from then on.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
from importlib.util import find_spec
from pathlib import Path

from tests.fuzz.targets import TARGETS, draw, findings

SEEDS = Path(__file__).parent / "seeds"


def main() -> int:
    """Exit code 1 if something was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--target", choices=list(TARGETS), action="append", help="default: all of them in turn")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the first input (default: the time)")
    parser.add_argument("--seeds", type=Path, default=SEEDS, help="where findings go")
    parser.add_argument("--engine", choices=["own", "atheris"], default="own", help="atheris: the parsers in Python")
    options = parser.parse_args()
    if options.engine == "atheris":
        return fuzz_parsers(options.minutes, options.seeds, options.seed)
    targets = [TARGETS[name] for name in options.target or TARGETS]
    until, seed, kinds = time.monotonic() + 60.0 * options.minutes, options.seed, {}
    while time.monotonic() < until:
        for target in targets:
            data = draw(target, seed)
            for finding in findings(target, data):
                kind = (target.name, "".join(c for c in finding if c.isalpha())[:60])
                kinds[kind] = kinds.get(kind, 0) + 1
                if kinds[kind] == 1:
                    name = f"{target.name}-{hashlib.sha256(data).hexdigest()[:10]}"
                    options.seeds.mkdir(exist_ok=True)
                    (options.seeds / name).write_bytes(data)
                    print(f"{name} (seed {seed}): {finding}", flush=True)
        seed += 1
    print(f"{seed - options.seed} inputs for each of {len(targets)} targets; {len(kinds)} kinds of findings")
    for (name, _), count in sorted(kinds.items()):
        print(f"  {name}: {count} times")
    return 1 if kinds else 0


def fuzz_parsers(minutes: float, seeds: Path, seed: int) -> int:
    """Led by coverage; needs the package atheris."""
    if find_spec("atheris") is None:
        print("--engine atheris needs one more package: pip install atheris", file=sys.stderr)
        return 2
    from tests.fuzz.parsers import run

    run(minutes, seeds, seed)  # ends the process
    return 0


if __name__ == "__main__":
    sys.exit(main())
