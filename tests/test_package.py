"""What is installed: a small wheel, whose core needs few packages, and extras by the names that messages give them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from email.parser import Parser
from importlib import metadata
from pathlib import Path

import pytest

from rtdenoise.methods.can.models import LITERT, LITERT_INT8, SPEC, START, WEIGHTS, model_names, open_model

ROOT = Path(__file__).resolve().parents[1]
MOST_MB = 25
CORE = {
    "click", "numba", "numpy", "platformdirs", "pyyaml", "rich", "rocket-fft", "scipy", "sounddevice", "soundfile",
    "soxr",
}  # fmt: skip
COMMANDS = """
import sys
from rtdenoise.cli.entry import run
for line in sys.argv[1:]:
    code = run(line.split())
    print(f"exit code {code} of {line}", flush=True)
print("loaded", *sorted({name.partition(".")[0] for name in sys.modules}))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    pytest.importorskip("hatchling", reason="the wheel is built with hatchling")
    if not (ROOT / "pyproject.toml").is_file():
        pytest.skip("no source checkout")
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    environment = os.environ | {"RTDENOISE_PREPARE": "none"}  # tests/test_preparation.py has the other kind
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, env=environment)
    return next(folder.glob("*.whl"))


def facts(wheel: Path) -> metadata.PackageMetadata:
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode())


def needed(requirements: list[str], found: set[str]) -> set[str]:
    """Names of these packages and of all that they need here, without extras."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    for text in requirements:
        wanted = Requirement(text)
        name = canonicalize_name(wanted.name)
        if name not in found and (wanted.marker is None or wanted.marker.evaluate({"extra": ""})):
            found.add(name)
            needed(metadata.distribution(name).requires or [], found)
    return found


@pytest.fixture(scope="module")
def core(wheel, tmp_path_factory) -> Iterator[dict[str, str]]:
    """The environment of an interpreter that has the wheel and what it needs, and nothing else that is installed."""
    site = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    try:
        for name in needed(facts(wheel).get_all("Requires-Dist", []), set()):
            distribution = metadata.distribution(name)
            for top in {path.parts[0] for path in distribution.files or () if path.parts[0] != ".."}:
                source = Path(str(distribution.locate_file(top)))
                if source.exists() and source.name != "__pycache__":
                    (site / top).symlink_to(source)
    except OSError as error:
        pytest.skip(f"links cannot be made here ({error.strerror})")
    yield os.environ | {"PYTHONPATH": str(site), "MPLCONFIGDIR": str(site)}
    shutil.rmtree(site)


def run(core: dict[str, str], folder: Path, *lines: str) -> subprocess.CompletedProcess[str]:
    """Commands, one after the other, in a process without the packages of this environment (``-S``)."""
    return subprocess.run(
        [sys.executable, "-S", "-c", COMMANDS, *lines],
        env=core,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


def test_the_wheel_is_small_and_whole(wheel):
    assert wheel.stat().st_size < MOST_MB * 1e6
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {"rtdenoise/py.typed", "rtdenoise/configs/low.yaml", "rtdenoise/demo/clip.flac"} <= names
    page = {path.name for path in (ROOT / "rtdenoise/panel/page").iterdir()}
    assert {f"rtdenoise/panel/page/{name}" for name in page} <= names and "index.html" in page
    for model in model_names():
        folder = f"rtdenoise/models/{model}"
        assert {f"{folder}/{SPEC}", f"{folder}/{WEIGHTS}", f"{folder}/SHA256SUMS"} <= names
        only_litert_runs_it = open_model(model).spec.domain != "spectral"
        assert (f"{folder}/{LITERT}" in names) == only_litert_runs_it
        assert not {f"{folder}/{LITERT_INT8}", f"{folder}/{START}"} & names
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {"rtdenoise"}


def test_the_core_needs_what_it_names_alone(wheel):
    from packaging.requirements import Requirement

    told = facts(wheel)
    required = [Requirement(text) for text in told.get_all("Requires-Dist", [])]
    assert {r.name for r in required if "extra ==" not in str(r.marker)} == CORE
    assert {"litert", "plots", "pesq", "eval", "all"} <= set(told.get_all("Provides-Extra", []))
    assert "Typing :: Typed" in told.get_all("Classifier", [])


def test_without_extras_the_main_job_is_done(core, tmp_path):
    shutil.copy(ROOT / "rtdenoise/demo/clip.flac", tmp_path / "in.flac")
    lines = (
        "-f in.flac",
        "-f in.flac --method CAN",
        "methods",
        "demo",
        "doctor --method bypass --seconds 0.5",
        "--help",
    )
    done = run(core, tmp_path, *lines)
    codes = {line: f"exit code 0 of {line}\n" in done.stdout for line in lines if not line.startswith("doctor")}
    assert all(codes.values()), done.stdout + done.stderr  # the doctor finds no sound card in many a place
    assert (tmp_path / "in_WF_denoised.flac").is_file() and (tmp_path / "in_CAN_denoised.flac").is_file()
    assert "note: pictures need matplotlib: pip install 'rtdenoise[plots]'" in done.stderr
    assert "not LiteRT, which only networks over samples and 8 bits need" in done.stdout
    loaded = set(done.stdout.rpartition("loaded ")[2].split())
    assert "numba" in loaded and not loaded & {"matplotlib", "ai_edge_litert", "tensorflow", "keras", "soxr", "pesq"}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("-f in.flac --plot", "pictures need matplotlib: pip install 'rtdenoise[plots]'"),
        ("-f . --plot", "pictures need matplotlib: pip install 'rtdenoise[plots]'"),
        ("-f in.flac --model germain2018", "LiteRT: pip install 'rtdenoise[litert]'"),
        (
            "-f in.flac --model can-small --engine litert",
            "leave --engine out, or give --model the folder models/can-small",
        ),
        (
            "-f in.flac --model can-live --set can.precision=int8",
            "leave can.precision out, or give --model the folder",
        ),
        ("train can-small --data . --start models/can-small/start.npz", "take it from a source checkout of rtdenoise"),
        ("panel --no-browser", "the panel needs the package aiohttp: pip install 'rtdenoise[panel]'"),
        ("tray", "the tray icon needs the packages pystray and Pillow: pip install 'rtdenoise[tray]'"),
    ],
)
def test_what_an_installation_lacks_is_one_line_with_a_way_out(core, tmp_path, line, message):
    shutil.copy(ROOT / "rtdenoise/demo/clip.flac", tmp_path / "in.flac")
    done = run(core, tmp_path, line)
    assert f"exit code 1 of {line}\n" in done.stdout
    assert message in done.stderr and done.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["in.flac"]


def test_an_evaluation_without_its_extra_says_what_it_leaves_out(core, tmp_path):
    shutil.copy(ROOT / "rtdenoise/demo/clip.flac", tmp_path / "in.flac")
    done = run(core, tmp_path, "evaluate --clean . --noisy . --no-peers")
    assert "exit code 0 of evaluate" in done.stdout and "SI-SDR dB" in done.stdout
    assert "pip install 'rtdenoise[eval]'" in done.stderr


def test_every_extra_that_is_named_exists(wheel):
    extras = set(facts(wheel).get_all("Provides-Extra", []))
    places = [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/*.md"),
        *ROOT.glob("models/**/*.md"),
        *ROOT.glob("rtdenoise/**/*.py"),
    ]
    places += [ROOT / ".ci/run", ROOT / "noxfile.py", *ROOT.glob(".github/**/*.yml"), *ROOT.glob("examples/*")]
    for path in places:
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        for found in re.findall(r"(?:rtdenoise|[\"' ]\.)\[([a-z0-9,]+)\]", text):
            assert set(found.split(",")) <= extras, path
