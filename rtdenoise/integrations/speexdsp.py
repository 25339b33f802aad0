"""In the place of the package speexdsp-ns: `NoiseSuppression`, one block at a time.

For programs that import ``speexdsp_ns``, such as openWakeWord::

    import sys, rtdenoise.integrations.speexdsp
    sys.modules["speexdsp_ns"] = rtdenoise.integrations.speexdsp
"""

from __future__ import annotations

from pathlib import Path

from rtdenoise.choice import Choice
from rtdenoise.integrations.blocks import ByteBlocks, whole_number

_LIMIT_DB = 15.0  # SpeexDSP's default
_BLOCK_MAX = 1 << 16


class NoiseSuppression:
    """Noise suppression for 16-bit mono audio; made by `create`.

    Parameters
    ----------
    blocks : ByteBlocks
    """

    def __init__(self, blocks: ByteBlocks) -> None:
        self._blocks = blocks

    @staticmethod
    def create(
        frame_size: int = 256,
        sample_rate: int = 16000,
        *,
        method: str | None = None,
        preset: str | None = "low",
        model: str | Path | None = None,
        attenuation_limit_db: float = _LIMIT_DB,
    ) -> NoiseSuppression:
        """Make one for blocks of `frame_size` samples.

        Parameters
        ----------
        frame_size : int
            1 to 65536.
        sample_rate : int
            8 to 192 kHz.
        method, preset, model, attenuation_limit_db
            As for `rtdenoise.stream`.

        Raises
        ------
        ConfigError
            For another size, and as for `rtdenoise.stream`.
        """
        return NoiseSuppression(
            ByteBlocks(
                whole_number(frame_size, "frame_size", 1, _BLOCK_MAX),
                sample_rate,
                "process",
                Choice(method, preset, model=model, attenuation_limit_db=attenuation_limit_db),
            )
        )

    @property
    def latency_samples(self) -> int:
        """Delay of the output against the input, in samples."""
        return self._blocks.stream.latency_samples

    def process(self, near: bytes) -> bytes:
        """Enhance one block: ``2 * frame_size`` bytes in and out.

        Raises
        ------
        SignalError
            For anything else.
        """
        return self._blocks.process(near)
