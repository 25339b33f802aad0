"""What a caller may choose about a denoiser, as one value: each call makes it of its keywords and hands it on."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from rtdenoise.config import Settings, load_settings, merge, method_with, unknown_key
from rtdenoise.errors import ConfigError

Config: TypeAlias = str | Path | Mapping[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Choice:
    """The keywords that choose a method and its parameters, as `rtdenoise.stream` explains them; None: not given.

    The rate and the number of channels are the signal's, so that they are not among them.
    """

    method: str | None = None
    preset: str | None = None
    config: Config | None = None
    model: str | Path | None = None
    channel_mode: str | None = None
    attenuation_limit_db: float | None = None
    mix: float | None = None

    def settings(self, default_preset: str = "balanced", overrides: Mapping[str, Any] | None = None) -> Settings:
        """Return the complete settings: the preset, then `config`, then `overrides`, then the keywords.

        Raises
        ------
        ConfigError
            For an unknown method, preset or key, a value out of range, or a network given to another method.
        """
        return load_settings(
            method=method_with(self.model, self.method),
            preset=self.preset,
            config=self.config,
            overrides=merge(overrides or {}, self._keywords()),
            default_preset=default_preset,
        )

    def changed(self, **changes: Any) -> Choice:
        """Return this choice with other values; another method drops the network of the one before.

        Raises
        ------
        ConfigError
            For an unknown key.
        """
        valid = [field.name for field in dataclasses.fields(self)]
        for key in changes:
            if key not in valid:
                raise ConfigError(unknown_key(str(key), str(key), valid))
        if "method" in changes:
            changes = {"model": None, **changes}
        elif changes.get("model") is not None:
            changes = {"method": None, **changes}
        return dataclasses.replace(self, **changes)

    def _keywords(self) -> dict[str, Any]:
        """Nested as in a configuration; a limit is that of either kind of method."""
        given = {
            "channel_mode": self.channel_mode,
            "attenuation_limit_db": self.attenuation_limit_db,
            "mix": self.mix,
        }
        model = os.fspath(self.model) if isinstance(self.model, os.PathLike) else self.model
        network = {"model": model, "attenuation_limit_db": self.attenuation_limit_db}
        keywords: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
        if network := {key: value for key, value in network.items() if value is not None}:
            keywords["can"] = network
        return keywords
