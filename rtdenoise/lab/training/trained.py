"""What training decided about a network, as its checkpoint remembers it, beside what a configuration says now."""

from __future__ import annotations

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
    """What makes `spec` another network than the trained one: key, and its value there and in `spec`.

    Parameters
    ----------
    spec : CanSpec
    facts : mapping
        Of a checkpoint; those of runs that did not remember their settings differ in nothing.
    """
    here = asdict(spec)
    there = dict(facts.get("settings", {}).get("network", {}))
    if "dilations" in there:
        there["dilations"] = tuple(there["dilations"])  # JSON knows lists only
    skipped = _OF_USE | _NOT_READ.get(str(there.get("domain")), set())
    return {
        key: (there[key], value)
        for key, value in here.items()
        if key in there and key not in skipped and there[key] != value
    }


def as_trained(spec: CanSpec, facts: Mapping[str, Any]) -> CanSpec:
    """The network that was trained, under the name and with the values of use of `spec`; parameters as above.

    Raises
    ------
    ConfigError
        If a value of use does not fit the network that was trained.
    """
    found = differences(spec, facts)
    if found:
        told = ", ".join(f"{key}={there}, not {here}" for key, (there, here) in found.items())
        _LOG.warning("the network is taken as it was trained: %s as configured", told)
    return spec_from_mapping(asdict(spec) | {key: there for key, (there, _) in found.items()})
