"""Report on a denoised file, as text and as data."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from rtdenoise.disk.names import plain, shown
from rtdenoise.sound.levels import LevelMeter
from rtdenoise.typing import Denoiser


@dataclass(frozen=True, slots=True, kw_only=True)
class FileReport:
    """One denoised file or pipe.

    Levels are RMS in dB re full scale, None for digital silence.  `noise_reduction_db` is how much quieter the quietest
    fifth of all 20 ms frames became.  `rtf` is the whole time taken, reading and writing included, over the duration.
    `incomplete`: audio that the source should hold is missing; `warnings` say where.  `network` and `engine` are those
    of a CAN, None for other methods.  `latency_ms` has the method's parts, which a live stream would have; the file
    itself is aligned with its source.  `processing_rate_hz` is the rate at which the method ran; where it is not that
    of the file, resamplers end the band at `band_hz`.
    """

    source: str
    target: str
    method: str
    preset: str
    network: str | None
    engine: str | None
    seconds: float
    sample_rate: int
    processing_rate_hz: int
    band_hz: float
    channels: int
    container: str
    subtype: str
    elapsed_seconds: float
    rtf: float
    latency_ms: dict[str, float]
    level_before_dbfs: float | None
    level_after_dbfs: float | None
    peak_before_dbfs: float | None
    peak_after_dbfs: float | None
    noise_reduction_db: float | None
    non_finite: int
    clipped: int
    warnings: tuple[str, ...]
    incomplete: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        values: dict[str, Any] = plain(asdict(self))
        return values

    @property
    def title(self) -> str:
        """The method with its preset, or with its network and engine."""
        if self.network is None:
            return f"{self.method} {self.preset}"
        return f"{self.method} {shown(self.network)} ({self.engine})"

    def line(self) -> str:
        """The report in one line."""
        reduction = self.noise_reduction_db
        noise = "silence" if reduction is None else f"noise {-reduction:+.1f} dB"
        name = "standard output" if self.target == "-" else shown(self.target)
        return (
            f"{name}: {self.seconds:.1f} s, {self.title}, {noise}, "
            f"RTF {self.rtf:.4f}, delay if live {self.latency_ms['total']:.1f} ms"
        )


def latency_parts_ms(denoiser: Denoiser) -> dict[str, float]:
    """Algorithmic delay in two parts: the method's latency (`algorithm`) and collecting one `hop`."""
    to_ms = 1e3 / denoiser.sample_rate
    algorithm, hop = denoiser.latency_samples * to_ms, denoiser.hop * to_ms
    return {"algorithm": round(algorithm, 3), "hop": round(hop, 3), "total": round(algorithm + hop, 3)}


def level_fields(meter: LevelMeter) -> dict[str, float | None]:
    """Levels of a report, rounded to meaningful digits."""
    values = {
        "level_before_dbfs": meter.noisy.level_db(),
        "level_after_dbfs": meter.clean.level_db(),
        "peak_before_dbfs": meter.noisy.peak_db(),
        "peak_after_dbfs": meter.clean.peak_db(),
        "noise_reduction_db": meter.noise_reduction_db(),
    }
    return {name: None if value is None else round(value, 2) for name, value in values.items()}
