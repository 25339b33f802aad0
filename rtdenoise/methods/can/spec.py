"""Specification of a context aggregation network: a frozen dataclass, validated on construction, saved as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

from rtdenoise.errors import ConfigError, ModelError, require_choice
from rtdenoise.kernels import product
from rtdenoise.methods.can.checks import require_between, require_keys, require_number, require_whole
from rtdenoise.methods.can.layers import banded, fine
from rtdenoise.streaming.windows import window_pair

_CHOICES = {
    "domain": ("wave", "framed", "spectral"),
    "normalisation": ("none", "adaptive"),
    "mask": ("none", "magnitude", "complex"),
    "statistics": ("running", "file"),
}

_LENGTHS, _SECONDS = ("hop", "frame", "span", "stride"), "_seconds"
"""Fields that files state in seconds: they hold at any rate at which the network runs."""
_RATE_HZ = 16000
_WHOLE_TOLERANCE = 1e-3  # of a sample: seconds are written in decimal
_DILATION_MAX = 1 << 20  # in rows; about a minute of samples at 16 kHz


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """Layers over bands beside a dense stack: they read the same inputs, and their outputs are added to the stack's.

    Attributes
    ----------
    channels : int
        Of each band.
    bands : int
    dilations, gates : tuple of int
        As `CanSpec` has them.
    """

    channels: int
    bands: int
    dilations: tuple[int, ...]
    gates: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CanSpec:
    """A stack of dilated convolutions over samples (``wave``), learnt frames (``framed``) or spectra (``spectral``).

    A *row* is the input of the stack at one instant: one sample, one frame or one spectrum.

    Attributes
    ----------
    name : str
    domain : {"wave", "framed", "spectral"}
        ``framed``: a learnt analysis turns `frame` samples into a row every `stride` samples; a learnt synthesis turns
        rows into frames for overlap-add.
    channels : int
        Width of every intermediate layer.
    dilations : tuple of int
        One per convolution, in rows.
    kernel : int
        Taps of each convolution.
    normalisation : {"none", "adaptive"}
        ``adaptive``: ``w0 * x + w1 * batchnorm(x)`` before the activation (Germain et al. 2018, section 2.1).
    statistics : {"running", "file"}
        Mean and variance with which an adaptive network normalises a whole file: the running ones from training, or
        those of the file.  Streams always use the running ones.
    residual : bool
        ``h + scale * activation(conv(h))`` in place of ``activation(conv(h))``.
    causal : bool
        All taps in the past; otherwise centred, which delays the stream by `lookahead_samples`.
    slope : float
        Slope of the leaky rectifier for negative input.
    mask : {"none", "magnitude", "complex"}
        Meaning of the output: the signal itself, a gain per bin, or a gain and a rotation per bin.
    mask_power : float
        Exponent applied to the gain at inference; values below 1 suppress less than in training.
    gain_min_db : float
        Lowest gain of the mask at inference.
    sample_rate : int
        In Hz.
    hop : int
        Samples per step of the stream.
    frame, span : int
        Analysis and synthesis windows of the spectral domain; see `rtdenoise.streaming.windows.window_pair`.  With
        ``span == hop`` there is no delay, and the network input uses another window (`listening_span`).  In the framed
        domain `frame` is the length of both and `span` is unused.
    stride : int
        Samples between rows of the framed domain.
    mean_rows : int
        Divisor of the update steps of the running means that a spectral network reads; larger for shorter hops, to
        keep their time constants.
    fine_channels : int
        Width of the layers after the stack that refine the gain of each bin from its neighbours
        (`rtdenoise.methods.can.layers.fine`); 0: none.
    bands : int
        Bands of a network whose weights all bands share (`rtdenoise.methods.can.layers.banded`), each of `channels`;
        0: every layer reads all bins.
    gates : tuple of int
        Which layers of such a network, from 0 on, end in a gated mean over time.
    beside : Beside, optional
        Layers over bands beside the stack of a dense network over spectra.
    """

    name: str
    domain: Literal["wave", "framed", "spectral"]
    channels: int
    dilations: tuple[int, ...]
    kernel: int = 3
    normalisation: Literal["none", "adaptive"] = "none"
    statistics: Literal["running", "file"] = "running"
    residual: bool = False
    causal: bool = True
    slope: float = 0.2
    mask: Literal["none", "magnitude", "complex"] = "none"
    mask_power: float = 1.0
    gain_min_db: float = -60.0
    sample_rate: int = _RATE_HZ
    hop: int = 128
    frame: int = 512
    span: int = 256
    stride: int = 16
    mean_rows: int = 1
    fine_channels: int = 0
    bands: int = 0
    gates: tuple[int, ...] = ()
    beside: Beside | None = None

    def __post_init__(self) -> None:
        for key, allowed in _CHOICES.items():
            require_choice(key, getattr(self, key), allowed)
        for key in ("channels", "kernel", "sample_rate", "hop", "frame", "span", "stride", "mean_rows"):
            require_whole(key, getattr(self, key), 1)
        require_whole("fine_channels", self.fine_channels, 0)
        require_whole("bands", self.bands, 0)
        if not self.dilations or min(self.dilations) < 1 or max(self.dilations) > _DILATION_MAX:
            raise ConfigError(
                f"dilations={self.dilations} must be one or more positive whole numbers up to {_DILATION_MAX}"
            )
        require_between("mask_power", self.mask_power, 0.01, 2.0)
        require_number("gain_min_db", self.gain_min_db)
        if (self.domain != "spectral") != (self.mask == "none"):
            raise ConfigError(f"mask={self.mask!r} does not fit domain={self.domain!r}: only spectra are masked")
        if self.domain == "framed" and (self.hop % self.stride or self.frame % self.stride):
            raise ConfigError(f"stride={self.stride} must divide hop={self.hop} and frame={self.frame}")
        self._check_spectra()
        self._check_bands()
        self._check_beside()
        if self.domain != "wave" and not self.causal:
            raise ConfigError("causal=False is for the wave domain; frames and spectra are computed as a stream")
        if not self.causal and self.kernel % 2 == 0:
            raise ConfigError(f"kernel={self.kernel} must be odd to be centred (causal=False)")
        if self.statistics == "file" and (self.domain != "wave" or self.normalisation != "adaptive"):
            raise ConfigError("statistics='file' needs domain='wave' and normalisation='adaptive'")
        if self.gain_min_db > 0.0:
            raise ConfigError(f"gain_min_db={self.gain_min_db} must not amplify")

    def _check_spectra(self) -> None:
        """Check the fields that apply only to the spectral domain."""
        if self.domain == "spectral":
            window_pair(self.frame, self.span, self.hop)  # raises for lengths without a window pair
            if self.frame % self.hop:
                raise ConfigError(f"frame={self.frame} must be a multiple of hop={self.hop}")
        elif self.fine_channels:
            raise ConfigError(f"fine_channels={self.fine_channels} does not fit domain={self.domain!r}: only spectra")

    def _check_bands(self) -> None:
        """Check the fields of networks whose weights all bands share."""
        if not self.bands and not self.gates:
            return
        if not self.bands:
            raise ConfigError(f"gates={self.gates} are of layers over bands; set bands")
        if self.mask != "complex" or not self.residual or self.fine_channels or self.mean_rows != 1:
            raise ConfigError(
                f"bands={self.bands} needs domain='spectral', mask='complex', residual=True, fine_channels=0 and "
                "mean_rows=1"
            )
        if (
            self.bands % product.ROWS
            or self.channels % product.LANES
            or self.frame % (2 * banded.STRIDE * product.ROWS)
        ):
            raise ConfigError(
                f"bands={self.bands}, channels={self.channels}, frame={self.frame} must be multiples of "
                f"{product.ROWS}, {product.LANES}, {2 * banded.STRIDE * product.ROWS}"
            )
        if sorted(set(self.gates)) != list(self.gates) or not set(self.gates) <= set(range(len(self.dilations))):
            raise ConfigError(f"gates={self.gates} must be layers from 0 to {len(self.dilations) - 1}, in order")

    def _check_beside(self) -> None:
        """Check the layers beside the stack."""
        if self.beside is None:
            return
        if self.bands or self.mask != "complex" or not self.residual or self.mean_rows != 1:
            raise ConfigError("beside needs a dense stack: mask='complex', residual=True, bands=0 and mean_rows=1")
        try:
            apart = self.apart  # checked as it is constructed
        except ConfigError as error:
            raise ConfigError(f"beside: {error}") from error
        if apart is None or not apart.bands:
            raise ConfigError("beside: bands=0 must be at least 1")

    @property
    def apart(self) -> CanSpec | None:
        """The specification of the layers beside the stack as a network of their own; None if there are none."""
        if self.beside is None:
            return None
        of = self.beside
        return replace(
            self,
            beside=None,
            fine_channels=0,
            channels=of.channels,
            bands=of.bands,
            dilations=of.dilations,
            gates=of.gates,
        )

    @property
    def channels_text(self) -> str:
        """Channels as people read them: ``256``, ``16 x 16`` (bands x channels), ``256 + 32 x 32`` (with `beside`)."""
        own = f"{self.bands} x {self.channels}" if self.bands else f"{self.channels}"
        return own if self.apart is None else f"{own} + {self.apart.channels_text}"

    @property
    def width(self) -> int:
        """Values of a row after each layer."""
        return max(1, self.bands) * self.channels

    @property
    def n_bins(self) -> int:
        """Bins of one spectrum."""
        return self.frame // 2 + 1

    @property
    def listens_apart(self) -> bool:
        """Whether the network reads another spectrum than the one it masks."""
        return self.domain == "spectral" and self.span == self.hop

    @property
    def listening_span(self) -> int:
        """Span of the windows of the spectrum that the network reads."""
        return 2 * self.hop if self.listens_apart else self.span

    @property
    def n_inputs(self) -> int:
        """Inputs of the stack per row: a sample, a frame, or three (complex masks: five) values per bin."""
        one = self.frame if self.domain == "framed" else 1
        return {"none": one, "magnitude": 3 * self.n_bins, "complex": 5 * self.n_bins}[self.mask]

    @property
    def n_outputs(self) -> int:
        """Outputs of the stack per row: a sample, a frame, or a gain (plus two values for rotation) per bin."""
        one = self.frame if self.domain == "framed" else 1
        return {"none": one, "magnitude": self.n_bins, "complex": 3 * self.n_bins}[self.mask]

    @property
    def rows_per_hop(self) -> int:
        """Rows the stack consumes per step of the stream."""
        return {"wave": self.hop, "framed": self.hop // self.stride, "spectral": 1}[self.domain]

    @property
    def receptive_rows(self) -> int:
        """Rows one output row of the stack depends on, including the current one; without the past of gated means."""
        return 1 + (self.kernel - 1) * sum(self.dilations)

    @property
    def receptive_field(self) -> int:
        """Input samples one output sample depends on.

        Excludes the running means that a spectral network also reads; they decay over about a second.
        """
        if self.domain == "wave":
            return self.receptive_rows
        if self.domain == "framed":
            return self.frame + (self.receptive_rows - 1 + self.frame // self.stride - 1) * self.stride
        behind = fine.FRAMES - 1 if self.fine_channels else 0
        overlapping = self.span // self.hop
        return self.frame + (self.receptive_rows - 1 + behind + overlapping - 1) * self.hop

    @property
    def lookahead_samples(self) -> int:
        """Future samples one output sample depends on; they delay the stream."""
        return 0 if self.causal else (self.kernel - 1) // 2 * sum(self.dilations)

    @property
    def latency_samples(self) -> int:
        """Delay of the output relative to the input, in samples, excluding `lookahead_samples`."""
        return {"wave": 0, "framed": self.frame - self.stride, "spectral": self.span - self.hop}[self.domain]

    @property
    def multiplications_per_second(self) -> int:
        """Multiply-adds per second of audio."""
        if self.bands:
            return banded.multiplications(*self._banded_sizes()) * self.sample_rate // self.hop
        c, k = self.channels, self.kernel
        inner = k * c * c * (len(self.dilations) - (self.domain == "wave"))
        first = k * c if self.domain == "wave" else self.n_inputs * c
        rows_per_second = self.sample_rate * self.rows_per_hop // self.hop
        beside = self.apart
        return (
            first + inner + self.n_outputs * c + fine.multiplications(self.n_bins, self.fine_channels)
        ) * rows_per_second + (0 if beside is None else beside.multiplications_per_second)

    def banded_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the weights of a network whose weights all bands share."""
        return banded.shapes(*self._banded_sizes())

    def _banded_sizes(self) -> tuple[int, int, int, int, int, int]:
        return self.n_bins, self.bands, self.channels, self.kernel, len(self.dilations), len(self.gates)

    def as_json(self) -> str:
        """Return the specification as indented JSON, its lengths in seconds."""
        values: dict[str, Any] = {}
        for key, value in asdict(self).items():
            if key in _LENGTHS:
                values[f"{key}{_SECONDS}"] = value / self.sample_rate
            elif (key not in ("bands", "gates") or self.bands) and (key != "beside" or self.beside):
                values[key] = value
        return json.dumps(values, indent=2) + "\n"


def spec_from_mapping(values: dict[str, Any]) -> CanSpec:
    """Create a specification from parsed JSON or YAML.

    Parameters
    ----------
    values : dict
        Keys are the attributes of `CanSpec`; lengths are in seconds (``hop_seconds``), or in samples at the
        specification's rate (``hop``), as files up to version 0.1 have them.

    Raises
    ------
    ConfigError
        If a key is unknown or missing, or a value is invalid.
    """
    known = [f.name for f in fields(CanSpec)]
    values = _in_samples(values)
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise ConfigError(f"unknown key {unknown[0]!r} in a network specification; known are {', '.join(known)}")
    values = _listed(values)
    try:
        if values.get("beside") is not None:
            layers = require_keys(values["beside"], [f.name for f in fields(Beside)], "beside")
            values["beside"] = Beside(**_listed(layers))
        return CanSpec(**values)
    except TypeError as error:
        raise ConfigError(f"incomplete network specification: {error}") from error


def _listed(values: dict[str, Any]) -> dict[str, Any]:
    """Replace lists of whole numbers by tuples."""
    found = dict(values)
    for key in ("dilations", "gates"):
        try:
            found[key] = tuple(int(n) for n in values.get(key, ()))
        except (TypeError, ValueError, OverflowError) as error:
            raise ConfigError(f"{key}={values[key]!r} must be whole numbers") from error
    return found


def _in_samples(values: dict[str, Any]) -> dict[str, Any]:
    """Replace lengths in seconds by lengths in samples."""
    found = dict(values)
    for key in _LENGTHS:
        name = f"{key}{_SECONDS}"
        if name not in found:
            continue
        if key in found:
            raise ConfigError(f"{name} and {key} say the same; leave one out")
        seconds, rate = found.pop(name), found.get("sample_rate", _RATE_HZ)
        require_number(name, seconds)
        require_whole("sample_rate", rate, 1)
        n = seconds * rate
        if abs(n - round(n)) > _WHOLE_TOLERANCE:
            raise ConfigError(f"{name}={seconds} is {n:.3f} samples at {rate} Hz; it must be a whole number of them")
        found[key] = round(n)
    return found


def load_spec(path: Path) -> CanSpec:
    """Read a specification written by `CanSpec.as_json`.

    Raises
    ------
    ModelError
        If the file is missing or is not a specification.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelError(f"{path}: no such file; a model folder holds spec.json") from error
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: not a network specification ({error})") from error
    if not isinstance(values, dict):
        raise ModelError(f"{path}: not a network specification (no JSON object)")
    try:
        return spec_from_mapping(values)
    except ConfigError as error:
        raise ModelError(f"{path}: {error}") from error
