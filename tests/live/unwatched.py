"""An audio process without the look into JACK, as where another library of JACK has no ports to show."""

from __future__ import annotations

from rtdenoise.live_audio.audio import worker

if __name__ == "__main__":
    worker.ports_of = lambda _target: None
    worker.main()
