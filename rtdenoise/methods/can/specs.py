"""Named network specifications, used by training configurations and shipped models."""

from __future__ import annotations

from dataclasses import replace

from rtdenoise.errors import ConfigError
from rtdenoise.methods.can.spec import Beside, CanSpec

_DOUBLING = tuple(2**k for k in range(13))
_PYRAMID = (1, 2, 4, 8, 16, 32)

# No delay beyond the block: the newest hop is output as soon as it is masked, without overlap; layers over bands beside
# the dense stack.
_WAVE = CanSpec(
    name="can-wave",
    domain="spectral",
    channels=256,
    dilations=_PYRAMID * 2,
    residual=True,
    mask="complex",
    span=128,
    fine_channels=32,
    beside=Beside(channels=32, bands=32, dilations=(1, 2, 4, 8) * 3, gates=(1, 3, 5, 7)),
)

SPECS: dict[str, CanSpec] = {
    spec.name: spec
    for spec in (
        # As published, with the layer count of the authors' released network: 160,925 parameters, not causal.
        CanSpec(
            name="germain2018",
            domain="wave",
            channels=64,
            dilations=(*_DOUBLING, 1),
            normalisation="adaptive",
            statistics="file",
            causal=False,
        ),
        # The same with all taps in the past.
        CanSpec(
            name="germain2018-causal", domain="wave", channels=64, dilations=(*_DOUBLING, 1), normalisation="adaptive"
        ),
        _WAVE,
        # Each sample is covered by two windows of 16 ms.
        replace(_WAVE, name="can-live", span=256),
        # Each sample is covered by four windows of 8 ms: half the delay, thrice the cost; the stack alone.
        replace(
            _WAVE, name="can-ultra", hop=32, dilations=tuple(4 * d for d in _PYRAMID) * 2, mean_rows=4, beside=None
        ),
        CanSpec(
            name="can-small",
            domain="spectral",
            channels=16,
            bands=16,
            dilations=(1, 2, 4, 8) * 3,
            gates=(1, 3, 5, 7),
            residual=True,
            mask="complex",
        ),
    )
}


def shipped_spec(name: str) -> CanSpec:
    """Return the specification called `name`.

    Raises
    ------
    ConfigError
        If there is none; the message lists the valid names.
    """
    if name not in SPECS:
        raise ConfigError(f"no network specification {name!r}; known are {', '.join(SPECS)}")
    return SPECS[name]
