"""Settings that are kept for the next time, in a file of the user's configuration folder."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from rtdenoise.disk.atomic import write_text
from rtdenoise.errors import ConfigError, RtDenoiseError
from rtdenoise.panel.choices import OF_MICROPHONE, USUAL, Choices, checked_choices

_MICROPHONES_MAX = 200
_NAME_MAX = 200


def usual_file() -> Path:
    """Where settings are kept."""
    from platformdirs import user_config_path

    return user_config_path("rtdenoise", appauthor=False) / "panel.json"


class Memory:
    """The last choices, those for each microphone, and whether sessions outlive the panel.

    Parameters
    ----------
    path : Path
    usual : Choices
        Where nothing was chosen yet.

    Attributes
    ----------
    choices : Choices
    keep : bool
    complaint : str
        Why the last change was not kept; empty if it was.
    """

    def __init__(self, path: Path, usual: Choices = USUAL) -> None:
        self._path, self.complaint = path, ""
        self.choices, self.keep = dict(usual), False
        self._microphones: dict[str, Choices] = {}
        with suppress(OSError, ValueError, AttributeError, TypeError):  # a damaged file is replaced
            kept = json.loads(path.read_text("utf-8"))
            self.keep = kept.get("keep") is True
            self.choices |= _whole(kept.get("choices", {}))
            for name, choices in kept.get("microphones", {}).items():
                self._microphones[name] = _of_microphone(_whole(choices))

    @property
    def microphones(self) -> list[str]:
        """Names of those that something is kept for."""
        return sorted(self._microphones)

    def of(self, microphone: str) -> Choices:
        """What was chosen for a microphone."""
        return dict(self._microphones.get(microphone, {}))

    def note(self, choices: Choices, microphone: str) -> None:
        """Keep choices, also for a microphone if its name is not empty."""
        self.choices = _changed(self.choices, choices)
        if microphone and set(choices) & set(OF_MICROPHONE):
            if len(self._microphones) >= _MICROPHONES_MAX:
                self._microphones.pop(next(iter(self._microphones)))
            name = microphone[:_NAME_MAX]
            self._microphones[name] = _of_microphone(_changed(self._microphones.get(name) or self.choices, choices))
        self._write()

    def set_keep(self, on: bool) -> None:
        """Whether a session goes on when its panel ends."""
        self.keep = on
        self._write()

    def forget(self, microphone: str) -> None:
        """Keep nothing for a microphone any more."""
        self._microphones.pop(microphone, None)
        self._write()

    def _write(self) -> None:
        whole = {"version": 1, "keep": self.keep, "choices": self.choices, "microphones": self._microphones}
        self.complaint = ""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_text(self._path, json.dumps(whole, indent=1) + "\n")
        except (OSError, RtDenoiseError) as error:
            self.complaint = f"your settings are not kept: {error}"


def _changed(before: Choices, choices: Choices) -> Choices:
    """Choices after a change; a preset or a network brings a limit of its own."""
    gone = {"attenuation_limit_db"} if {"preset", "model"} & set(choices) else set()
    return {name: value for name, value in before.items() if name not in gone} | choices


def _of_microphone(choices: Choices) -> Choices:
    return {name: value for name, value in choices.items() if name in OF_MICROPHONE}


def _whole(choices: Any) -> Choices:
    """The choices that are valid still: a network or a preset may be gone."""
    found: Choices = {}
    for name, value in dict(choices).items():
        with suppress(ConfigError):
            found |= checked_choices({name: value})
    return found
