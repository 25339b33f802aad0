"""Training losses: terms on estimate and target, and their weighted sum built from a configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from rtdenoise.errors import ConfigError
from rtdenoise.lab.losses import hearing, opinion
from rtdenoise.lab.losses.deep_features import DeepFeatures
from rtdenoise.lab.losses.frames import Tensor, Term, frames
from rtdenoise.lab.network.keras_network import import_keras
from rtdenoise.methods.can.checks import require_between, require_number, require_whole
from rtdenoise.streaming.windows import hann

_COMPRESSION = 0.3
_PAUSE_FRAME = 512
_POWER_FLOOR = 1e-8  # relative to a mixture of unit level; bounds the slope of |X|**0.3 at silence


def compressed_stft(frame: int, hop: int, complex_share: float) -> Term:
    """Squared error of compressed spectra: magnitudes, and spectra with their phases.

    ``(1 - c) * mean((|E|^.3 - |T|^.3)^2) + c * mean(|E |E|^-.7 - T |T|^-.7|^2)``; Braun & Tashev (2021), "A
    consolidated view of loss functions for supervised deep learning-based speech enhancement", eq. 7.
    """
    require_whole("frame", frame, 2)
    require_whole("hop", hop, 1)
    if frame % hop:
        raise ConfigError(f"frame={frame} must be a multiple of hop={hop}")
    require_between("complex_share", complex_share, 0.0, 1.0)
    scale = float(1.0 / np.sqrt(np.sum(hann(frame) ** 2)))

    def compressed(ops: Any, signal: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        real, imag = ops.rfft(frames(ops, signal * scale, frame, hop))
        power = real * real + imag * imag + _POWER_FLOOR
        shrink = ops.exp((0.5 * (_COMPRESSION - 1.0)) * ops.log(power))
        return shrink * ops.sqrt(power), real * shrink, imag * shrink

    def term(ops: Any, estimate: Tensor, target: Tensor) -> Tensor:
        # separately, not as one batch: no gradient is computed for the target
        pairs = list(zip(compressed(ops, estimate), compressed(ops, target), strict=True))
        errors = [ops.mean(ops.square(e - t)) for e, t in pairs[: 3 if complex_share else 1]]
        if not complex_share:
            return errors[0]
        return (1.0 - complex_share) * errors[0] + complex_share * (errors[1] + errors[2])

    return term


def clipped_sdr(ceiling_db: float) -> Term:
    """Signal-to-distortion ratio, negated, in dB, flattening out at `ceiling_db`.

    ``10 log10((|t - e|^2 + tau r) / r)``, ``r = |t|^2 + 0.01``: the 0.01 of the mixture's energy keeps silent targets
    finite.  Not scale-invariant: the level belongs to the estimate.
    """
    require_between("ceiling_db", ceiling_db, 0.0, 200.0)
    tau = 10.0 ** (-ceiling_db / 10.0)

    def term(ops: Any, estimate: Tensor, target: Tensor) -> Tensor:
        reference = ops.mean(ops.square(target), -1) + 0.01
        distortion = ops.mean(ops.square(target - estimate), -1)
        return ops.mean(ops.log((distortion + tau * reference) / reference)) * (10.0 / np.log(10.0))

    return term


def l1() -> Term:
    """Mean absolute difference of the waveforms."""
    return lambda ops, estimate, target: ops.mean(ops.abs(estimate - target))


def l2() -> Term:
    """Mean squared difference of the waveforms."""
    return lambda ops, estimate, target: ops.mean(ops.square(estimate - target))


def pauses(below_db: float = -40.0, floor_db: float = -60.0) -> Term:
    """Residual level in speech pauses, in dB above `floor_db`, averaged over all frames of the signal.

    Pauses are frames of the target more than `below_db` under its loudest, and silent targets.  Both levels are
    relative to a mixture of unit level.  The error of compressed spectra is small there already at -20 dB, although the
    residual is still audible (ITU-T P.835: the background is judged separately).
    """
    require_between("below_db", below_db, -120.0, 0.0)
    require_between("floor_db", floor_db, -120.0, 0.0)
    share, floor = 10.0 ** (below_db / 10.0), 10.0 ** (floor_db / 10.0)

    def term(ops: Any, estimate: Tensor, target: Tensor) -> Tensor:
        spoken = ops.mean(ops.square(frames(ops, target, _PAUSE_FRAME, _PAUSE_FRAME // 2)), -1)
        loudest = ops.max(spoken, axis=-1, keepdims=True)
        silent = ops.cast(spoken <= ops.maximum(share * loudest, floor), "float32")
        left = ops.mean(ops.square(frames(ops, estimate, _PAUSE_FRAME, _PAUSE_FRAME // 2)), -1)
        return ops.mean(silent * ops.log((left + floor) / floor)) * (10.0 / np.log(10.0))

    return term


TERMS: dict[str, Callable[..., Term]] = {
    "l1": l1,
    "l2": l2,
    "compressed_stft": compressed_stft,
    "clipped_sdr": clipped_sdr,
    "pauses": pauses,
    "estoi": hearing.estoi,
    "perceptual": hearing.perceptual,
    "opinion": opinion.opinion,
    "deep_features": DeepFeatures,
}
"""Terms by the name a configuration gives them."""
_READS_FILES = ("deep_features", "opinion")
_SAMPLES = {
    "estoi": hearing.ESTOI_SAMPLES,
    "perceptual": hearing.PERCEPTUAL_SAMPLES,
    "pauses": _PAUSE_FRAME,
    "opinion": opinion.OPINION_SAMPLES,
}


class Loss:
    """A weighted sum of terms, as Keras calls it: ``loss(target, estimate) -> scalar``.

    Attributes
    ----------
    states : list of keras.layers.Layer
        State that terms keep from step to step; saved in the run's checkpoints.
    """

    def __init__(self, parts: list[tuple[float, Term]]) -> None:
        self._parts = parts
        keras = import_keras()
        self._ops = keras.ops
        if keras.backend.backend() == "torch":
            from rtdenoise.lab.pytorch import operations

            self._ops = operations
        self.states = [term.state for _, term in parts if isinstance(term, DeepFeatures)]

    def __call__(self, target: Tensor, estimate: Tensor) -> Tensor:
        """The sum, for signals at the mixture's unit level."""
        return sum(weight * term(self._ops, estimate, target) for weight, term in self._parts)


def build_loss(terms: list[dict[str, Any]]) -> Loss:
    """The weighted sum a configuration describes.

    Parameters
    ----------
    terms : list of dict
        Each with ``term`` (a key of `TERMS`), ``weight``, and the term's own arguments.

    Raises
    ------
    ConfigError
        For an unknown term or argument, or an empty list.
    """
    return Loss([(weight, _built(name, arguments)) for weight, name, arguments in _parsed(terms)])


def check_loss(terms: Any) -> int:
    """Check `terms` as `build_loss` does, without Keras or files; returns the minimum number of samples they need.

    Raises
    ------
    ConfigError
    """
    least = 1
    for _, name, arguments in _parsed(terms):
        if name not in _READS_FILES:
            _built(name, arguments)
        least = max(least, _SAMPLES.get(name, arguments.get("frame", 1)))
    return least


def _parsed(terms: Any) -> list[tuple[float, str, dict[str, Any]]]:
    """Weight, name and arguments of each term."""
    known = f"known terms are {', '.join(TERMS)}"
    if not isinstance(terms, list):
        raise ConfigError(f"loss={terms!r} must be a list of terms, each a mapping; {known}")
    if not terms:
        raise ConfigError(f"loss is empty; {known}")
    parsed = []
    for entry in terms:
        if not isinstance(entry, Mapping):
            raise ConfigError(f"loss term {entry!r} must be a mapping like {{term: l1, weight: 1.0}}; {known}")
        arguments = dict(entry)
        name, weight = arguments.pop("term", None), arguments.pop("weight", 1.0)
        if not isinstance(name, str) or name not in TERMS:
            raise ConfigError(f"unknown loss term {name!r}; {known}")
        require_number(f"loss term {name}: weight", weight)
        parsed.append((float(weight), name, arguments))
    return parsed


def _built(name: str, arguments: dict[str, Any]) -> Term:
    try:
        return TERMS[name](**arguments)
    except TypeError as error:
        raise ConfigError(f"loss term {name}: {error}") from error
