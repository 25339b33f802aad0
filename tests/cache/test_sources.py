"""The stamp on compiled code: of content, and of every source that compiled code may be made of."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rtdenoise.cache import sources

PACKAGE = Path(sources.__file__).parents[1]


def path_of(module: str) -> Path | None:
    place = PACKAGE.parent.joinpath(*module.split("."))
    return next((path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()), None)


def imported_by(path: Path) -> Iterator[Path]:
    """Files of this package that a file imports when it is loaded: what compiled code knows by a global name."""
    for node in outside_functions(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("rtdenoise"):
            modules = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names if alias.name.startswith("rtdenoise")]
        else:
            continue
        yield from filter(None, map(path_of, modules))


def outside_functions(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    for child in ast.iter_child_nodes(node):
        for_types = isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"
        if not for_types and not isinstance(child, (ast.FunctionDef, ast.Lambda)):
            yield from outside_functions(child)


def compiles(path: Path) -> bool:
    text = path.read_text(encoding="utf-8")
    return "from rtdenoise.kernels.jit import" in text or "@intrinsic" in text or "CFunc(" in text


def test_the_stamp_covers_everything_that_compiled_code_imports():
    stamped = set(sources.stamped_files())
    lab = PACKAGE / "lab"  # whose loops numba keeps by itself
    todo = [path for path in PACKAGE.rglob("*.py") if compiles(path) and lab not in path.parents]
    assert {path.parent.name for path in todo} >= {"kernels", "spectral", "can", "compiled", "callback", "bench"}
    seen = set(todo)
    while todo:
        for path in set(imported_by(todo.pop())) - seen:
            seen.add(path)
            todo.append(path)
    missing = {path.relative_to(PACKAGE).as_posix() for path in seen - stamped}
    assert not missing, missing
    assert {"config.py", "units.py", "methods/can/layers/features.py", "methods/can/layers/fine.py"} <= {
        path.relative_to(PACKAGE).as_posix() for path in stamped
    }


STAMP = "from rtdenoise.cache import sources; print(sources.__file__, sources.stamp())"


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("copy")
    shutil.copytree(PACKAGE, folder / "rtdenoise", ignore=shutil.ignore_patterns("__pycache__", "*.npz"))
    return folder


def stamp_of(folder: Path) -> str:
    environment = os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", STAMP]
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=True)
    path, stamp = done.stdout.split()
    assert Path(path).is_relative_to(folder)
    return stamp


def test_the_stamp_is_of_content_not_of_times_or_places(copy, tmp_path):
    first = stamp_of(copy)
    for path in copy.rglob("*.py"):
        os.utime(path, (0, 0))  # as image builders do
    assert stamp_of(copy) == first
    shutil.move(copy / "rtdenoise", tmp_path / "rtdenoise")
    assert stamp_of(tmp_path) == first
    shutil.move(tmp_path / "rtdenoise", copy / "rtdenoise")


@pytest.mark.parametrize(
    "name",
    ["methods/can/layers/features.py", "methods/can/layers/fine.py", "units.py", "config.py", "live_audio/record.py"],
)
def test_a_changed_constant_changes_the_stamp_even_if_size_and_time_stay(copy, name):
    path = copy / "rtdenoise" / name
    text, status, first = path.read_text(encoding="utf-8"), path.stat(), stamp_of(copy)
    at = next(k for k, letter in enumerate(text) if letter.isdigit() and letter != "9")
    path.write_text(text[:at] + str(int(text[at]) + 1) + text[at + 1 :], encoding="utf-8")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_size == status.st_size
    assert stamp_of(copy) != first
    path.write_text(text, encoding="utf-8")
    assert stamp_of(copy) == first


def test_new_folders_count_until_they_are_named():
    for name in sources._NEVER_COMPILED:
        assert (PACKAGE / name).is_dir(), f"{name} is gone; take it out of the list"


def test_a_file_outside_the_package_is_known_by_its_content(tmp_path):
    (tmp_path / "a.py").write_text("1")
    (tmp_path / "b.py").write_text("2")
    assert sources.content_of(tmp_path / "a.py") != sources.content_of(tmp_path / "b.py")
    with pytest.raises(OSError, match="missing"):
        sources.content_of(tmp_path / "missing.py")
