"""The request for a live run, as parsed from any command."""

from __future__ import annotations

from dataclasses import dataclass, field

from rtdenoise.cli.live.options import LiveOptions
from rtdenoise.cli.options import MethodOptions, Options


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


def from_root(options: Options) -> LiveRequest:
    """The request given to the root command."""
    return LiveRequest(
        source=options.source,
        target=options.target,
        method=options.method,
        live=options.live,
        overwrite=options.overwrite,
        as_json=options.as_json,
        form=options.form,
        aligned=options.aligned,
        quiet=options.quiet,
    )
