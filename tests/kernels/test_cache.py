"""Compiled code on disk: what processes of their own have kept works together in another."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys
from dataclasses import replace
import numpy as np
from rtdenoise.can.spectra import Spectra, analyse_each
from rtdenoise.can.specs import SPECS
from tests.can.networks import lively

for span in map(int, sys.argv[1:]):
    spec = replace(SPECS["can-small"], span=span)
    spectra, heard = Spectra(spec, 1), 0.0
    signal = lively(20 * spec.hop)
    for start in range(0, signal.size, spec.hop):
        spectra.analyse(signal[None, start : start + spec.hop])
        heard += np.abs(spectra.inputs["real"]).sum()
    print(repr(float(heard)))
for overload in analyse_each.overloads.values():
    print(overload.fndesc.mangled_name)
"""


def test_layouts_compiled_in_different_processes_are_not_taken_for_each_other(tmp_path):
    """numba numbers functions and record types anew in every process, and names compiled code by these numbers."""
    (heard, name), (other_heard, other_name) = run(tmp_path, "256"), run(tmp_path, "384")
    assert heard != other_heard
    assert run(tmp_path, "256", "384") == [heard, other_heard, name, other_name]
    assert len(list(tmp_path.rglob("*.nbc"))) > 1, "kept on disk"
    assert run(tmp_path / "another", "256")[1] != name


def run(cache: Path, *spans: str) -> list[str]:
    environment = os.environ | {"NUMBA_CACHE_DIR": str(cache)}
    root = Path(__file__).parents[2]
    command = [sys.executable, "-c", PROGRAM, *spans]
    done = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()
