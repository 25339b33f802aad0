"""Archives made for the tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from rtdenoise.files.setup import Setup, load_setup

pytest.importorskip("distributed", reason="the extra batch is not installed")
pytest.importorskip("pyarrow", reason="the extra batch is not installed")


def make_archive(folder: Path, count: int, seconds: float = 0.5) -> list[str]:
    """Files of noise in a small tree; their names below the folder, sorted."""
    rng = np.random.default_rng(5)
    names = []
    for index in range(count):
        name = f"{'deep/er/' if index % 3 == 0 else ''}{index:03d}.{'flac' if index % 2 else 'wav'}"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(folder / name, 0.1 * rng.standard_normal(int(seconds * 16000)), 16000)
        names.append(name)
    return sorted(names)


@pytest.fixture
def archive(tmp_path: Path) -> tuple[Path, list[str]]:
    return tmp_path / "raw", make_archive(tmp_path / "raw", 6)


@pytest.fixture
def setup() -> Setup:
    """The identity: what is tested is the batch, and nothing has to compile."""
    return load_setup("bypass")


def outputs(folder: Path) -> list[str]:
    """Every file below a folder that is no record of the batch, sorted, hidden ones included."""
    found = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    return sorted(path.as_posix() for path in found if path.parts[0] != ".rtdenoise-batch")
