"""Compile the defaults while the wheel is built, so that the first use after an installation does not have to.

``RTDENOISE_PREPARE`` says how much: ``some`` (the default: what the README's commands use, for the processor of this
machine), ``all`` (every default at every common rate, for every machine of this kind: for wheels that are published),
``none`` (a pure wheel) or a folder that `rtdenoise.prepare` has filled.  Editable installs compile at the first use.
Whatever goes wrong here is a remark: code that is missing is compiled at its first use.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_SOME = (  # and with them every other preset and rate, and the other networks of can-live's layers
    'prepare("WF", preset="low", sample_rate=48000, to=to);'
    'prepare("WF", preset="low", sample_rate=48000, channels=2, live=False, to=to)',
    'prepare("CAN", model="can-live", sample_rate=48000, to=to);'
    'prepare("CAN", model="can-small", sample_rate=48000, live=False, to=to)',
)
_ALL = (
    'prepare("WF", to=to, portable=True);'
    'prepare("WF", preset="low", sample_rate=48000, channels=2, live=False, to=to, portable=True)',
    'prepare("CAN", model="can-live", to=to, portable=True)',
    'prepare("CAN", model="can-small", to=to, portable=True)',
)
_CALLS = {"some": _SOME, "all": _ALL, "none": ()}


class CustomBuildHook(BuildHookInterface):
    """Adds the folder ``rtdenoise/compiled`` to a wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and tell hatchling what the wheel holds; see `BuildHookInterface.initialize`."""
        chosen = os.environ.get("RTDENOISE_PREPARE", "some")
        if chosen not in _CALLS and not Path(chosen).is_dir():
            raise ValueError(f"RTDENOISE_PREPARE={chosen} must be a folder or one of {', '.join(_CALLS)}")
        if version == "editable" or chosen == "none":
            return
        self._folder = tempfile.mkdtemp()
        compiled = Path(self._folder) / "compiled"
        if chosen in _CALLS:
            self._compile(_CALLS[chosen], compiled)
        else:
            shutil.copytree(chosen, compiled)
        if not compiled.is_dir():
            return
        user = str(os.geteuid()) if hasattr(os, "geteuid") else "user"
        (compiled / "made-by").write_text(user, "ascii")
        build_data["force_include"][str(compiled)] = "rtdenoise/compiled"
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def _compile(self, calls: tuple[str, ...], compiled: Path) -> None:
        """Make the calls, each in a process of its own."""
        paths = [self.root, *os.environ.get("PYTHONPATH", "").split(os.pathsep)]  # pip's own are among them
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
        children = [
            subprocess.Popen(
                [sys.executable, "-W", "ignore", "-c", f"from rtdenoise import prepare; to={str(compiled)!r}; {call}"],
                env=environment,
                cwd=self._folder,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            for call in calls
        ]
        for child in children:
            said = child.communicate()[1].strip().splitlines()
            if child.returncode != 0:
                self.app.display_warning(f"not compiled ahead, the first use will do it: {said[-1:]}")

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what was made on the way; see `BuildHookInterface.finalize`."""
        shutil.rmtree(getattr(self, "_folder", "") or os.devnull, ignore_errors=True)
