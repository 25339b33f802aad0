"""A live session in your own program: run it, change it while it runs, record it.

python examples/session.py 10 mic speaker takes          # seconds, input, output, folder for the recording
"""

from __future__ import annotations

import sys

import rtdenoise


def main(seconds: str, source: str = "mic", target: str = "speaker", folder: str = "takes") -> int:
    with rtdenoise.live("WF", input=source, output=target, tell=print) as session, session.record(folder):
        session.attenuation_limit_db = 18  # leave some of the room
        for second in range(int(seconds)):
            if second == int(seconds) // 2:
                session.method = "SS"  # cross-faded
            session.wait(1.0)
            status = session.status()
            print(
                f"{status.method}: {status.latency_ms['total']:.1f} ms from input to output, "
                f"{status.late_blocks} late blocks, {status.lost_samples} samples lost",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
