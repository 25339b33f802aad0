"""Where the root command goes if its source or target is an audio device."""

from __future__ import annotations

from rtdenoise.cli.options import Options
from rtdenoise.errors import DeviceError


def run_live(_options: Options) -> int:
    """Denoise from or to an audio device.

    Raises
    ------
    DeviceError
        Always: this build has no live audio.
    """
    raise DeviceError(
        "live audio is not in this build; a recorder can be piped in: "
        "arecord -f S16_LE -r 16000 -t raw | rtdenoise -f - -o - --rate 16000 | aplay -f S16_LE -r 16000"
    )
