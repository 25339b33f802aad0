"""Provenance of a record: time, versions, commit and machine."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any


def origin() -> dict[str, Any]:
    """Time (UTC), versions, commit and machine, for the header of every record."""
    return {
        "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "version": sys.modules["rtdenoise"].__version__,  # the top-level package imports the modules above this one
        "commit": _commit(),
        "machine": {
            "processor": processor(),
            "cores": cores(),
            "system": f"{platform.system()} {platform.machine()}",
            "python": platform.python_version(),
        },
    }


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor() -> str:
    """The processor's name, as far as the system reports it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


def _commit() -> str:
    """Short commit of the checkout that the package runs from; empty for an installation."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return ""
    command = ["git", "-C", str(root), "rev-parse", "--short", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=5).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def installed_version(package: str) -> str:
    """The version of an installed package; empty if there is none."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
