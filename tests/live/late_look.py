"""An audio process that takes a moment before it looks into JACK: time for a test to stop the server."""

from __future__ import annotations

import time

from rtdenoise.live_audio.audio import worker

MOMENT_SECONDS = 2.0

if __name__ == "__main__":
    look = worker.ports_of

    def late(target: worker.Device | None) -> worker.JackPorts | None:
        time.sleep(MOMENT_SECONDS)
        return look(target)

    worker.ports_of = late
    worker.main()
