"""``python -m rtdenoise.can.training CONFIG --data FOLDER``: train a network from the command line."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from rtdenoise.can.training.session import default_cache, preview, train
from rtdenoise.can.training.settings import load_settings
from rtdenoise.errors import RtDenoiseError


def main(arguments: list[str] | None = None) -> int:
    """Run; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m rtdenoise.can.training", description=__doc__)
    parser.add_argument("config", type=Path, help="YAML file, for example configs/can-live.yaml")
    parser.add_argument("--data", type=Path, required=True, help="folder with speech, noise and rooms")
    parser.add_argument("--run", type=Path, help="folder of the run; default runs/NAME")
    parser.add_argument("--cache", type=Path, default=default_cache(), help="folder of decoded recordings")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a setting")
    parser.add_argument("--start", type=Path, help="checkpoint whose weights a new run begins with")
    parser.add_argument("--dry-run", action="store_true", help="only write spectrograms and WAVs of what it will hear")
    parser.add_argument("--restart", action="store_true", help="do not go on from an earlier checkpoint")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", stream=sys.stdout)
    try:
        settings = load_settings(options.config, options.set)
        folder = options.run or Path("runs") / settings.network.name
        if options.dry_run:
            page = preview(settings, data=options.data, folder=folder / "dry-run", cache=options.cache)
            logging.getLogger(__name__).info("written: %s", page)
            return 0
        begin = {"resume": not options.restart, "start": options.start}
        reason = train(settings, data=options.data, folder=folder, cache=options.cache, **begin)
    except RtDenoiseError as error:
        sys.stderr.write(f"Error: {error}\n")
        return 1
    logging.getLogger(__name__).info("ended: %s", reason)
    return 0


if __name__ == "__main__":
    sys.exit(main())
