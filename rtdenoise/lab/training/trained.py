"""Compare the network a checkpoint was trained as with the current configuration."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from rtdenoise.methods.can.spec import CanSpec, spec_from_mapping

_LOG = logging.getLogger(__name__)
_OF_USE = {"name", "mask_power", "gain_min_db", "statistics"}
_NOT_READ = {"wave": {"hop", "frame", "span", "stride"}, "framed": {"hop", "span"}, "spectral": {"stride"}}
"""By domain: lengths that the network does not depend on, or only its stream."""


def differences(spec: CanSpec, facts: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Settings that make `spec` a different network from the trained one: key, trained value and value in `spec`.

    Parameters
    ----------
    spec : CanSpec
    facts : mapping
        From a checkpoint; runs that did not record their settings show no differences.
    """
    here = asdict(spec)
    there = copy.deepcopy(dict(facts.get("settings", {}).get("network", {})))
    for part in (there, there["beside"] if there.get("beside") else {}):
        for key in {"dilations", "gates"} & set(part):
            part[key] = tuple(part[key])  # JSON has only lists
    skipped = _OF_USE | _NOT_READ.get(str(there.get("domain")), set())
    return {
        key: (there[key], value)
        for key, value in here.items()
        if key in there and key not in skipped and there[key] != value
    }


def as_trained(spec: CanSpec, facts: Mapping[str, Any]) -> CanSpec:
    """The trained network, with the name and runtime values of `spec`; parameters as above.

    Raises
    ------
    ConfigError
        If a runtime value does not fit the trained network.
    """
    found = differences(spec, facts)
    if found:
        told = ", ".join(f"{key}={there}, not {here}" for key, (there, here) in found.items())
        _LOG.warning("the network is taken as it was trained: %s as configured", told)
    return spec_from_mapping(asdict(spec) | {key: there for key, (there, _) in found.items()})
