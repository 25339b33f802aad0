"""Where the audio process begins: PortAudio looks for devices while everything else is imported."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any

from rtdenoise.child.lines import ChildEnd
from rtdenoise.live_audio.audio.shutdown import Shutdown
from rtdenoise.live_audio.messages import Leave, Leaving


class Beginning:
    """What an audio process has from its first moment.

    Attributes
    ----------
    shutdown : Shutdown
    parent : ChildEnd
    """

    def __init__(self) -> None:
        self.shutdown = Shutdown()
        self.parent = ChildEnd(self._on_order)
        threading.Thread(target=self._load_portaudio, daemon=True).start()

    def _on_order(self, parent: ChildEnd, order: Any) -> None:
        """Leave if so ordered, whatever this process is doing: importing, compiling, waiting."""
        if isinstance(order, Leave):
            parent.send(Leaving())
            self.shutdown.leave_soon(order.patience_seconds)

    def _load_portaudio(self) -> None:
        with self.shutdown.talking, suppress(Exception):  # raised again when the devices are listed
            import sounddevice  # noqa: F401 - its import starts PortAudio, which takes its time


def main() -> None:
    """Begin, then run the plan of the first order."""
    beginning = Beginning()
    from rtdenoise.live_audio.audio import worker

    worker.main(beginning)


if __name__ == "__main__":
    main()
