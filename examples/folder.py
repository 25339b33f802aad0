"""Denoise every WAV and FLAC file of a folder on all cores; a file that fails is named, and the rest is done.

    python examples/folder.py recordings cleaned

`rtdenoise --input recordings/` does the same with progress, more formats and pictures: this is for programs that do
something else with each file, too.
"""

from __future__ import annotations

import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import rtdenoise


def main(source: Path, target: Path) -> int:
    target.mkdir(parents=True, exist_ok=True)
    files = sorted(path for path in source.iterdir() if path.suffix.lower() in (".wav", ".flac"))
    failed = 0
    with ProcessPoolExecutor() as pool:
        work = {pool.submit(rtdenoise.denoise_file, path, target / path.name, method="WF"): path for path in files}
        for done in as_completed(work):
            try:
                report = done.result()
            except rtdenoise.RtDenoiseError as error:
                failed += 1
                print(error, file=sys.stderr)
            else:
                print(f"{work[done].name}: {report.seconds:.1f} s, RTF {report.rtf:.4f}")
    return 1 if failed else 0


if __name__ == "__main__":  # needed here: each process of the pool imports this file
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
