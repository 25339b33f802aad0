"""Modules that are named in strings and in documents exist: no import would find a wrong one."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from rtdenoise.errors import MissingExtraError

ROOT = Path(__file__).parents[1]
DOTTED = re.compile(r"(?<![\w./-])rtdenoise(?:\.[A-Za-z_]\w*)+(?::[A-Za-z_]\w*)?(?![\w/-])")
SLASHED = re.compile(r"(?<![\w./-])(?:rtdenoise|tests|benchmarks)(?:/\w+)+\.py\b")
# names of files, and of what a sound server lists
FILES = {f"rtdenoise.{end}" for end in ("cmd", "desktop", "lock", "log", "owner", "service", "svg")}
DOCUMENTS = ["README.md", "CONTRIBUTING.md", "pyproject.toml", ".ci/run", "docs/*.md", "models/*.md", "configs/*.yaml"]
SOURCES = ["rtdenoise/**/*.py", "benchmarks/**/*.py", "tests/**/*.py", "examples/**/*.py"]


def files(patterns: list[str]) -> list[Path]:
    return sorted(path for pattern in patterns for path in ROOT.glob(pattern) if "__pycache__" not in path.parts)


def strings(path: Path) -> Iterator[str]:
    """All text of a document; of code, its strings, docstrings and comments."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        yield text
        return
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
    yield from re.findall(r"#.*", text)


@functools.cache
def exists(name: str) -> bool:
    """Whether a dotted name is a module, or something in one."""
    module, _, attribute = name.partition(":")
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        try:
            spec = find_spec(".".join(parts[:length]))
        except (ModuleNotFoundError, MissingExtraError):  # looking inside a module imports it
            continue
        if spec is not None:
            inside = [*parts[length:], *([attribute] if attribute else [])]
            return not inside or _defines(Path(str(spec.origin)), inside[0])
    return False


def _defines(source: Path, name: str) -> bool:
    """Whether a module's source mentions a name of its own: importing all modules would need every extra."""
    return re.search(rf"\b{name}\b", source.read_text(encoding="utf-8")) is not None


def test_what_is_named_in_strings_and_documents_is_there():
    missing = []
    for path in files(DOCUMENTS + SOURCES):
        for text in strings(path):
            wrong = [name for name in DOTTED.findall(text) if name not in FILES and not exists(name)]
            wrong += [name for name in SLASHED.findall(text) if not (ROOT / name).is_file()]
            missing += [f"{path.relative_to(ROOT).as_posix()}: {name}" for name in wrong]
    assert missing == []
