"""Model folders: which there are, what is in one, and proof that its files are whole."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rtdenoise.errors import ModelError
from rtdenoise.methods.can.spec import CanSpec, load_spec
from rtdenoise.methods.can.weights import Network, load_weights
from rtdenoise.methods.can.whole import WholeNetwork, load_whole

SPEC, WEIGHTS, WHOLE, CHECKSUMS = "spec.json", "weights.npz", "whole.npz", "SHA256SUMS"
LITERT, LITERT_INT8 = "model.tflite", "model-int8.tflite"
START = "start.npz"
"""Trained weights to begin another run with; no engine reads them."""
SERVING = "serving"
"""Folder of networks for model servers, one folder each."""
_LEFT_OUT = {LITERT: "--engine", LITERT_INT8: "can.precision"}
"""What the wheel leaves out of networks over spectra (pyproject.toml), with what asks for it."""
_SERVED = "config.pbtxt"


@dataclass(frozen=True, slots=True)
class Model:
    """A folder with a trained network.

    Attributes
    ----------
    folder : Path
    spec : CanSpec
    """

    folder: Path
    spec: CanSpec

    def litert(self) -> bytes:
        """The LiteRT file, checked.

        Raises
        ------
        ModelError
            If it is missing or damaged.
        """
        return read_checked(self.folder, LITERT)

    def litert_int8(self) -> bytes:
        """The LiteRT file that multiplies in 8 bits, checked.

        Raises
        ------
        ModelError
            If the model comes without one, or it is damaged.
        """
        if LITERT_INT8 not in _checksums(self.folder):
            raise ModelError(f"{self.folder}: no {LITERT_INT8} (precision='int8'); this model comes in float only")
        return read_checked(self.folder, LITERT_INT8)

    def network(self) -> Network:
        """The weights, checked.

        Raises
        ------
        ModelError
            If they are missing, damaged or belong to another specification.
        """
        read_checked(self.folder, WEIGHTS)
        return load_weights(self.folder / WEIGHTS, self.spec)

    def whole_network(self) -> WholeNetwork:
        """The network that normalises with a file's own statistics, checked.

        Raises
        ------
        ModelError
            If it is missing, damaged or belongs to another specification.
        """
        return load_whole(read_checked(self.folder, WHOLE), self.spec)


def models_folder() -> Path:
    """Where the shipped models are, in a checkout or an installation."""
    package = Path(__file__).resolve().parents[2]
    inside = package / "models"
    return inside if inside.is_dir() else package.parent / "models"


def model_names() -> list[str]:
    """The shipped models."""
    return sorted(path.parent.name for path in models_folder().glob(f"*/{SPEC}"))


def open_model(name: str | Path) -> Model:
    """A shipped model by name, or any model by its folder.

    Raises
    ------
    ModelError
        If there is none, or its specification is damaged.
    """
    shipped = models_folder() / str(name)
    folder = shipped if Path(name).name == str(name) and _is_folder(shipped) else Path(name)
    known = f"shipped are {', '.join(model_names()) or 'none'}; or give the folder of a model"
    if not _is_folder(folder):
        raise ModelError(f"no model {str(name)!r}; {known}")
    if not (folder / SPEC).is_file():
        raise ModelError(f"{folder} is no model: no {SPEC} in it; {known}")
    read_checked(folder, SPEC)
    return Model(folder, load_spec(folder / SPEC))


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name that is too long
        return False


def read_checked(folder: Path, name: str) -> bytes:
    """The content of one file of a model, compared with its checksum.

    Raises
    ------
    ModelError
        If it is missing, damaged, or has no checksum.
    """
    sums = _checksums(folder)
    if name not in sums:
        raise ModelError(f"{folder / CHECKSUMS}: no checksum of {name}")
    if name in _LEFT_OUT and not (folder / name).exists() and _is_shipped(folder):
        raise ModelError(
            f"{folder / name}: installations leave it out, because compiled code is about as fast or faster; leave "
            f"{_LEFT_OUT[name]} out, or give --model the folder models/{folder.name} of a source checkout of rtdenoise"
        )
    try:
        content = (folder / name).read_bytes()
    except OSError as error:
        raise ModelError(f"{folder / name}: cannot be read ({error.strerror})") from error
    if hashlib.sha256(content).hexdigest() != sums[name]:
        raise ModelError(
            f"{folder / name}: checksum differs; the file is damaged or was changed, install the model again"
        )
    return content


def _is_shipped(folder: Path) -> bool:
    return folder.resolve().parent == models_folder().resolve()


def _checksums(folder: Path) -> dict[str, str]:
    """Digest by file name, as ``sha256sum`` writes them."""
    try:
        lines = (folder / CHECKSUMS).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise ModelError(f"{folder / CHECKSUMS}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ModelError(f"{folder / CHECKSUMS}: damaged; install the model again") from error
    try:
        return {name: digest for digest, name in (line.split(maxsplit=1) for line in lines if line.strip())}
    except ValueError as error:
        raise ModelError(f"{folder / CHECKSUMS}: damaged; install the model again") from error


def write_files(folder: Path, contents: Mapping[str, bytes]) -> None:
    """A model's files, by name, in place of any model that is there: first all of them, then their names.

    What another model left behind, and this one does not have, is removed: it belongs to other weights.
    """
    parts = {folder / f".{name}.part": folder / name for name in contents}
    try:
        for part, content in zip(parts, contents.values(), strict=True):
            part.write_bytes(content)
        for part, path in parts.items():
            part.replace(path)
    finally:
        for part in parts:
            part.unlink(missing_ok=True)
    for name in {WHOLE, LITERT_INT8, START} - set(contents):
        (folder / name).unlink(missing_ok=True)
    for described in list((folder / SERVING).glob(f"*/{_SERVED}")):
        shutil.rmtree(described.parent)
    with contextlib.suppress(OSError):  # it is not there, or holds something else
        (folder / SERVING).rmdir()
    write_checksums(folder)


def write_checksums(folder: Path) -> None:
    """Digests of everything but the card."""
    names = [name for name in (SPEC, WEIGHTS, WHOLE, LITERT, START) if (folder / name).is_file()]
    names += sorted(path.name for path in folder.glob("model-*.tflite"))
    lines = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}" for name in names]
    (folder / CHECKSUMS).write_text("\n".join(lines) + "\n", encoding="utf-8")
