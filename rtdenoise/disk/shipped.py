"""Locate the data files shipped with the package: presets, tables, networks."""

from __future__ import annotations

from pathlib import Path


def data_folder(name: str) -> Path:
    """Return the shipped folder `name` ("configs", "models"), in a checkout or an installation."""
    package = Path(__file__).resolve().parent.parent
    inside = package / name
    return inside if inside.is_dir() else package.parent / name
