"""The method a job runs with, and its streams, built once per rate and number of channels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rtdenoise import registry
from rtdenoise.config import Settings, load_settings
from rtdenoise.disk.names import shown
from rtdenoise.errors import AudioFileError, ConfigError
from rtdenoise.rates import RATE_MAX_HZ, RATE_MIN_HZ
from rtdenoise.streaming.session import Stream
from rtdenoise.typing import Denoiser

FILE_PRESET = "quality"
PIPE_PRESET = "low"
_STREAMS_KEPT = 4


@dataclass(frozen=True, slots=True)
class Setup:
    """Settings and the name of the preset they started from; can be sent to another process."""

    settings: Settings
    preset: str

    @property
    def label(self) -> str:
        """The method's name as used in output file names."""
        return self.settings.method.upper()

    def network_and_engine(self) -> tuple[str, str] | tuple[None, None]:
        """Name of the CAN's network, and the engine that "auto" stands for; none for other methods."""
        if self.settings.method != "CAN":
            return None, None
        from rtdenoise.methods.can.models import engine_for, open_model

        can = self.settings.can
        return can.model, engine_for(open_model(can.model).spec, can.engine, can.precision)


def load_setup(
    method: str | None = None,
    preset: str | None = None,
    config: str | Path | Mapping[str, Any] | None = None,
    overrides: Mapping[str, Any] | None = None,
    default_preset: str = FILE_PRESET,
) -> Setup:
    """Settings by `rtdenoise.config.load_settings`, with the preset's name."""
    settings = load_settings(
        method=method, preset=preset, config=config, overrides=overrides, default_preset=default_preset
    )
    return Setup(settings, settings.preset)


class Streams:
    """Streams of one setup, kept for the next file of the same rate and channels."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self._built: dict[tuple[int, int], tuple[Denoiser, Stream]] = {}

    def get(self, name: str, sample_rate: int, channels: int) -> tuple[Denoiser, Stream]:
        """A denoiser and a fresh stream over it.

        Parameters
        ----------
        name : str
            File name, for error messages.
        sample_rate, channels : int

        Raises
        ------
        AudioFileError
            If the method cannot run at this rate or with so many channels.
        """
        key = (sample_rate, channels)
        if not RATE_MIN_HZ <= sample_rate <= RATE_MAX_HZ:
            raise AudioFileError(_wrong_rate(name, sample_rate))
        if key not in self._built:
            while len(self._built) >= _STREAMS_KEPT:
                self._built.pop(next(iter(self._built)))
            try:
                denoiser = registry.build(self.setup.settings, sample_rate, channels)
            except ConfigError as error:
                raise AudioFileError(f"{name}: {error}") from error
            self._built[key] = (denoiser, Stream(denoiser, channels_first=False))
        denoiser, stream = self._built[key]
        stream.reset()
        return denoiser, stream


def _wrong_rate(name: str, sample_rate: int) -> str:
    nearest = RATE_MIN_HZ if sample_rate < RATE_MIN_HZ else RATE_MAX_HZ
    path = Path(name)
    remedy = "resample it first"
    if path.suffix:
        remedy += f": ffmpeg -i {shown(name)} -ar {nearest} {shown(path.stem)}-{nearest}{shown(path.suffix)}"
    name = "standard input" if name == "-" else name
    return f"{name}: has {sample_rate} Hz; from {RATE_MIN_HZ} to {RATE_MAX_HZ} Hz can be denoised; {remedy}"
