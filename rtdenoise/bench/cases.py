"""The list of benchmark cases: methods, presets, models and engines."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import Any

from rtdenoise.config import Settings
from rtdenoise.errors import ConfigError
from rtdenoise.evaluate.compared.systems import own_settings

NATIVE = "native"
RATE_HZ = 16000
QUICK = ("WF:quality", "WF:low", "SS:low", "CAN:can-live")
_DEVICE_RATE_HZ = 48000


@dataclass(frozen=True, slots=True)
class Case:
    """One row: ``METHOD:PRESET`` or ``CAN:MODEL`` with ``+KEY=VALUE``, at a rate, on an engine.

    `engine`: "native" (a compiled hop, as in the audio callback), "python" (Python around one), "numba" (a compiled
    hop of a network), "litert" or "tf".
    """

    name: str
    rate_hz: int
    engine: str

    def as_dict(self) -> dict[str, Any]:
        """All fields."""
        return asdict(self)


def make_case(name: str, rate_hz: int = RATE_HZ) -> Case:
    """Parse a case from its name.

    Raises
    ------
    ConfigError
        For an unknown method, preset, key or value, or an unsupported rate.
    """
    from rtdenoise.rates import check_rate

    check_rate(rate_hz)
    settings = own_settings(name)
    native = settings.method in ("SS", "WF") and settings.processing_rate_hz in (None, rate_hz)
    if settings.method == "CAN":
        return Case(name, rate_hz, _network_engine(settings))
    return Case(name, rate_hz, NATIVE if native else "python")


def _network_engine(settings: Settings) -> str:
    from rtdenoise.methods.can.models import engine_for, open_model

    chosen = settings.can
    return engine_for(open_model(chosen.model).spec, chosen.engine, chosen.precision)


def quick_cases(rate_hz: int = RATE_HZ) -> list[Case]:
    """Enough cases to judge the usual choices in half a minute."""
    return [make_case(name, rate_hz) for name in QUICK if _is_there(name)]


def all_cases(rate_hz: int = RATE_HZ) -> list[Case]:
    """Every installed method, preset, model and engine; those of an audio callback also at a sound card's 48 kHz."""
    from rtdenoise.config import preset_names
    from rtdenoise.methods.can.models import LITERT, LITERT_INT8, model_names

    names = [f"{method}:{preset}" for method in ("WF", "SS") for preset in preset_names()]
    for model in model_names():
        names += [f"CAN:{model}{form}" for form in ("", "+can.precision=int8")][: 1 + _has(model, LITERT_INT8)]
    names += [
        f"CAN:{model}+can.engine=litert"
        for model in model_names()
        if make_case(f"CAN:{model}").engine == "numba" and _has(model, LITERT)
    ]
    if find_spec("tensorflow") is not None:
        names += [f"CAN:{model}+can.engine=tf" for model in model_names()]
    cases = [make_case(name, rate_hz) for name in [*names, "bypass"]]
    if find_spec("ai_edge_litert") is None:
        cases = [case for case in cases if case.engine != "litert"]
    if rate_hz != _DEVICE_RATE_HZ:
        live = [f"{method}:{preset}" for method in ("WF", "SS") for preset in ("low", "ultra")]
        live += [f"CAN:{model}" for model in model_names()]
        cases += [case for name in live if (case := make_case(name, _DEVICE_RATE_HZ)).engine in (NATIVE, "numba")]
    return cases


def _has(model: str, file: str) -> bool:
    """Whether the installed model includes this file; the wheel omits some."""
    from rtdenoise.methods.can.models import models_folder

    return (models_folder() / model / file).is_file()


def _is_there(name: str) -> bool:
    from rtdenoise.methods.can.models import model_names

    return not name.startswith("CAN:") or name.removeprefix("CAN:") in model_names()


def named_cases(names: tuple[str, ...], rate_hz: int) -> list[Case]:
    """The requested cases.

    Raises
    ------
    ConfigError
        As `make_case`, and for a duplicate.
    """
    if len(set(names)) != len(names):
        raise ConfigError(f"a method is given twice: {', '.join(names)}")
    return [make_case(name, rate_hz) for name in names]
