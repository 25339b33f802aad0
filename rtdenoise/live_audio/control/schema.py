"""Messages on a control socket, one JSON object per line: requests, answers and events."""

from __future__ import annotations

import re
from typing import Any

from rtdenoise.errors import ConfigError, require_choice, shortened
from rtdenoise.live_audio.controls import LIMIT_NONE_DB, METHODS

LINE_MAX = 65536
EVERY_SECONDS = (0.02, 60.0)
_TEXT_MAX = 200

_BOOLEAN = {"type": "boolean"}
_DEVICE = {"type": "string", "minLength": 1, "maxLength": _TEXT_MAX}
_NAME = {"type": "string", "pattern": r"^[\w-]+$", "minLength": 1, "maxLength": _TEXT_MAX}

COMMANDS: dict[str, dict[str, Any]] = {
    "status": {"details": _BOOLEAN},
    "watch": {"every_seconds": {"type": "number", "minimum": EVERY_SECONDS[0], "maximum": EVERY_SECONDS[1]}},
    "meters": {"every_seconds": {"type": ["number", "null"], "minimum": EVERY_SECONDS[0], "maximum": EVERY_SECONDS[1]}},
    "set": {
        "bypass": _BOOLEAN,
        "method": {"enum": list(METHODS)},
        "attenuation_limit_db": {"type": ["number", "null"], "minimum": 0, "maximum": LIMIT_NONE_DB},
        "mix": {"type": "number", "minimum": 0, "maximum": 1},
        "default_microphone": _BOOLEAN,
    },
    "use": {
        "input": _DEVICE,
        "output": _DEVICE,
        "method": {"enum": list(METHODS)},
        "preset": _NAME,
        "model": _NAME,
    },
    "record": {"on": _BOOLEAN},
    "mark": {"text": {"type": "string", "maxLength": _TEXT_MAX}},
    "devices": {},
    "quit": {},
}
"""Fields of each command; all are optional except ``on`` of ``record``."""

_REQUIRED = {"record": ["on"]}

REQUEST: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "rtdenoise.control/1 request",
    "type": "object",
    "required": ["command"],
    "oneOf": [
        {
            "properties": {"command": {"const": name}, "id": {}, "token": {"type": "string"}, **fields},
            "required": ["command", *_REQUIRED.get(name, ())],
            "additionalProperties": False,
        }
        for name, fields in COMMANDS.items()
    ],
}
"""JSON Schema of a request.  ``id`` is returned with the answer; ``token`` is needed where the socket is a port."""

_NUMBER = {"type": "number"}
_COUNT = {"type": "integer", "minimum": 0}
_NUMBERS = {"type": "object", "additionalProperties": _NUMBER}
_OR_NULL: dict[str, Any] = {"type": ["string", "null"]}

STATUS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "state": {"enum": ["starting", "running", "waiting", "finished"]},
        "method": {"enum": list(METHODS)},
        "preset": {"type": "string"},
        "model": {"type": "string"},
        "bypass": _BOOLEAN,
        "attenuation_limit_db": {"type": ["number", "null"], "minimum": 0, "maximum": LIMIT_NONE_DB},
        "mix": {"type": "number", "minimum": 0, "maximum": 1},
        "input": _OR_NULL,
        "output": _OR_NULL,
        "default_microphone": {"type": ["boolean", "null"]},
        "seconds": _NUMBER,
        "rate_hz": _NUMBER,
        "devices": {"type": "object", "properties": {"source": _OR_NULL, "target": _OR_NULL}},
        "latency_ms": _NUMBERS,
        "level_in_dbfs": _NUMBER,
        "level_out_dbfs": _NUMBER,
        "noise_reduction_db": {"type": ["number", "null"]},
        "compute_us": _NUMBERS,
        "budget_used_percent": _NUMBERS,
        **dict.fromkeys(
            ("callbacks", "late_blocks", "xruns", "lost_samples", "missing_samples", "reopened", "engine_restarts"),
            _COUNT,
        ),
        "recording": _BOOLEAN,
        "marks": {"type": "array", "items": {"type": "object", "required": ["seconds", "text"]}},
    },
}
STATUS["required"] = list(STATUS["properties"])
"""JSON Schema of a status: `LiveStatus`, with ``details`` only where they were asked for."""

_LEVELS = {"type": "object", "required": ["level_dbfs", "peak_dbfs", "spectrum"]}

ANSWER: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "rtdenoise.control/1 answer or event",
    "oneOf": [
        {"required": ["ok"], "properties": {"ok": {"const": True}, "id": {}}, "not": {"required": ["event"]}},
        {
            "required": ["ok", "error"],
            "properties": {"ok": {"const": False}, "error": {"type": "string", "pattern": r"^[^\n]+$"}, "id": {}},
            "additionalProperties": False,
        },
        {
            "required": ["event", "status"],
            "properties": {"event": {"const": "status"}, "status": STATUS},
            "additionalProperties": False,
        },
        {
            "required": ["event", "meters"],
            "properties": {
                "event": {"const": "meters"},
                "meters": {
                    "type": "object",
                    "required": ["seconds", "top_hz", "before", "after"],
                    "properties": {"seconds": _NUMBER, "top_hz": _NUMBER, "before": _LEVELS, "after": _LEVELS},
                },
            },
            "additionalProperties": False,
        },
        {
            "required": ["event", "line"],
            "properties": {"event": {"const": "told"}, "line": {"type": "string"}},
            "additionalProperties": False,
        },
        {"required": ["event"], "properties": {"event": {"const": "ended"}}, "additionalProperties": False},
    ],
}
"""JSON Schema of answers and of events: a status, meters, a line for the user, the end of the session."""


def checked(request: Any) -> dict[str, Any]:
    """Validate a request and return its fields without ``command``, ``id`` and ``token``.

    Raises
    ------
    ConfigError
        In one line, for anything that `REQUEST` does not allow.
    """
    if not isinstance(request, dict) or not isinstance(request.get("command"), str):
        raise ConfigError('a request is an object with a command, such as {"command": "status"}')
    command = request["command"]
    require_choice("command", command, COMMANDS)
    fields = {name: value for name, value in request.items() if name not in ("command", "id", "token")}
    for name, value in fields.items():
        if name not in COMMANDS[command]:
            known = ", ".join(COMMANDS[command]) or "nothing"
            raise ConfigError(f"{command}: unknown {shortened(name)}; it takes {known}")
        _check(f"{command}: {name}", value, COMMANDS[command][name])
    for name in _REQUIRED.get(command, ()):
        if name not in fields:
            raise ConfigError(f"{command}: {name} is missing")
    return fields


def _check(name: str, value: Any, rule: dict[str, Any]) -> None:
    if "enum" in rule:
        require_choice(name, value, rule["enum"])
        return
    kinds = [rule["type"]] if isinstance(rule["type"], str) else rule["type"]
    if value is None and "null" in kinds:
        return
    if "boolean" in kinds:
        if not isinstance(value, bool):
            raise ConfigError(f"{name}={shortened(value)} must be true or false")
    elif "number" in kinds:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or not rule["minimum"] <= value <= rule["maximum"]:
            raise ConfigError(f"{name}={shortened(value)} must be from {rule['minimum']:g} to {rule['maximum']:g}")
    elif not isinstance(value, str) or not rule.get("minLength", 0) <= len(value) <= rule["maxLength"]:
        raise ConfigError(f"{name}={shortened(value)} must be a text of at most {rule['maxLength']} characters")
    elif "pattern" in rule and re.fullmatch(rule["pattern"], value) is None:
        raise ConfigError(f"{name}={shortened(value)} must be a name: letters, digits, - and _")
