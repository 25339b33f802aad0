"""What live audio needs of a command line, whichever command it was given to."""

from __future__ import annotations

from dataclasses import dataclass, field

from rtdenoise.cli.live_options import LiveOptions
from rtdenoise.cli.options import MethodOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveRequest:
    """One run: where from, where to, with what."""

    source: str
    target: str | None
    method: MethodOptions
    live: LiveOptions = field(default_factory=LiveOptions)
    overwrite: bool = False
    as_json: bool = False
    form: str | None = None
    aligned: bool = True
    quiet: bool = False
