"""Where the files are that ship with the package: presets, tables, networks."""

from __future__ import annotations

from pathlib import Path


def data_folder(name: str) -> Path:
    """Folder `name` ("configs", "models") that ships with the package, in a checkout or an installation."""
    package = Path(__file__).resolve().parent.parent
    inside = package / name
    return inside if inside.is_dir() else package.parent / name
