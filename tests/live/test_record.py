"""The shared record says of each field who writes it, who reads it and in which unit: as the sources do it."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

import rtdenoise
from rtdenoise.live_audio.record import FIELDS, LIVE, RINGS

PACKAGE = Path(rtdenoise.__file__).parent
UNITS = {
    "Hz", "s", "ns", "samples", "per sample", "callbacks", "hops", "segments", "times", "channels",
    "amplitude", "squared", "share", "2 cos(w)", "flag", "value", "address", "descriptor", "thread",
}  # fmt: skip
# Who runs a module: as in `Field`.  Of those that several run, each access is by at least one of them.
RUNS = {
    "live_audio/audio": "A",
    "live_audio/callback": "C",
    "live_audio/callback/start.py": "A",
    "live_audio/engine/worker.py": "E",
    "live_audio/engine/positions.py": "E",
    "live_audio/engine": "S",
    "live_audio/shared_memory.py": "ES",
    "live_audio/record.py": "AS",
    "live_audio": "S",
    "cli/live": "S",
}
HOLDERS = {"live", "_live", "record", "region"}


def runs(module: str) -> str:
    return next(RUNS[place] for place in [module, *map(str, Path(module).parents)] if place in RUNS)


def holder(node: ast.AST) -> str:
    """The name of what a field is taken from: live, live[0], self._region.live ..."""
    while isinstance(node, ast.Subscript):
        node = node.value
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def accesses(tree: ast.AST) -> list[tuple[str, str]]:
    """Of fields that stand beside the record: name, and "read", "write" or "both"."""
    found = []
    changed = {id(node.target) for node in ast.walk(tree) if isinstance(node, ast.AugAssign)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            names = [node.attr]
        elif isinstance(node, ast.Subscript):
            names = [each.value for each in ast.walk(node.slice) if isinstance(each, ast.Constant)]
        else:
            continue
        kind = "both" if id(node) in changed else "write" if isinstance(node.ctx, ast.Store) else "read"
        found += [(name, kind) for name in names if name in LIVE.names and holder(node.value) in HOLDERS]
    return found


def named(tree: ast.AST) -> set[str]:
    """Fields that are named in a text: a table of names decides later what is read or written."""
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and node.value in LIVE.names}


@pytest.fixture(scope="module")
def modules() -> dict[str, ast.AST]:
    paths = [path for folder in ("live_audio", "cli/live") for path in sorted((PACKAGE / folder).rglob("*.py"))]
    return {path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text("utf-8")) for path in paths}


def test_every_field_has_a_unit_a_writer_and_a_reader():
    assert tuple(field.name for field in FIELDS) == LIVE.names
    for field in FIELDS:
        assert field.unit in UNITS, field
        assert field.writers and set(field.writers) <= set("ACES"), field
        assert field.readers and set(field.readers) <= set("ACES"), field
        assert LIVE[field.name].shape == ((field.n,) if field.n else ())


def test_nobody_else_reads_or_writes_a_field(modules):
    stated = {field.name: field for field in FIELDS}
    for module, tree in modules.items():
        for name, kind in accesses(tree):
            field = stated[name]
            allowed = {"read": field.readers, "write": field.writers, "both": field.writers}[kind]
            if field.n:  # elements are written through a read of the array
                allowed = field.readers + field.writers
            assert set(runs(module)) & set(allowed), f"{module}: {kind} of {name}"


def test_who_is_stated_does_it(modules):
    done = {"read": defaultdict(set), "write": defaultdict(set)}
    for module, tree in modules.items():
        found = accesses(tree)
        if runs(module) == "S":
            found += [(name, kind) for name in named(tree) for kind in done]
        for name, kind in found:
            for each in done if LIVE[name].shape else [kind]:
                done.get(each, done["write"])[name] |= set(runs(module))
    for field in FIELDS:
        assert set(field.readers) <= done["read"][field.name], f"{field.name}: {done['read'][field.name]}"
        if field.name not in RINGS:  # `attach_rings` writes the addresses of all
            assert set(field.writers) <= done["write"][field.name], f"{field.name}: {done['write'][field.name]}"


def test_a_record_fits_its_place():
    assert np.zeros(1, LIVE).nbytes < 1 << 16
