"""Model folders: lookup, contents, and files verified by checksums."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rtdenoise.errors import ModelError
from rtdenoise.methods.can.layers import low_rates
from rtdenoise.methods.can.layers.above import load_head
from rtdenoise.methods.can.spec import CanSpec, load_spec
from rtdenoise.methods.can.weights import Network, load_weights, rounded
from rtdenoise.methods.can.whole import WholeNetwork, load_whole

SPEC, WEIGHTS, WHOLE, CHECKSUMS = "spec.json", "weights.npz", "whole.npz", "SHA256SUMS"
LITERT, LITERT_INT8 = "model.tflite", "model-int8.tflite"
START = "start.npz"
"""Trained weights from which another training run may start; no engine reads them."""
ABOVE = "above.npz"
"""Head that decides above the band of a network over spectra; a model without one uses a simple rule there."""
LOW_RATES = "low.npz"
"""What a network over spectra changes of its weights, and perhaps of its gain's exponent, at low rates; a model
without it has the same at all rates."""
SERVING = "serving"
"""Subfolder with networks exported for model servers, one folder each."""
_LEFT_OUT = {LITERT: "--engine", LITERT_INT8: "can.precision"}
"""Files of spectral networks that the wheel omits (pyproject.toml), with the option that needs them."""
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
        """Return the LiteRT file, verified.

        Raises
        ------
        ModelError
            If it is missing or damaged.
        """
        if LITERT not in _checksums(self.folder) and not (self.folder / LITERT).exists():
            raise ModelError(f"{self.folder}: no {LITERT}, which engine='litert' runs; engine='numba' needs none")
        return read_checked(self.folder, LITERT)

    def litert_int8(self) -> bytes:
        """Return the LiteRT file with 8-bit multiplications, verified.

        Raises
        ------
        ModelError
            If the model has none, or it is damaged.
        """
        if LITERT_INT8 not in _checksums(self.folder):
            raise ModelError(f"{self.folder}: no {LITERT_INT8} (precision='int8'); this model comes in float only")
        return read_checked(self.folder, LITERT_INT8)

    def parts(self, sample_rate: int | None = None) -> dict[str, tuple[str, bytes]]:
        """Return what makes the network at a rate in Hz, or at its own: digest and content of each file, verified.

        Raises
        ------
        ModelError
            If one is missing or damaged.
        """
        sums, wanted = _checksums(self.folder), {LOW_RATES: low_rates.apply_at(sample_rate), ABOVE: True}
        names = [name for name, is_used in wanted.items() if is_used and name in sums]
        contents = {name: read_checked(self.folder, name) for name in (WEIGHTS, *names)}
        return {name: (sums[name], content) for name, content in contents.items()}

    def assembled(self, parts: Mapping[str, tuple[str, bytes]], dtype: npt.DTypeLike = np.float32) -> Network:
        """Return the network that `parts` make, with its head; its weights in `dtype`, see `load_weights`.

        Raises
        ------
        ModelError
            If they belong to another specification.
        """
        contents = {name: content for name, (_, content) in parts.items()}
        low = contents.get(LOW_RATES)
        changes = None if low is None else low_rates.load_changes(low, self.folder / LOW_RATES)
        network = load_weights(contents[WEIGHTS], self.spec, self.folder / WEIGHTS, dtype, changes)
        network = network if changes is None else rounded(network)
        if ABOVE not in contents:
            return network
        return replace(network, above=load_head(contents[ABOVE], self.spec, self.folder / ABOVE))

    def network(self, sample_rate: int | None = None) -> Network:
        """Return the network at a rate in Hz, or at its own, with its head, verified.

        Raises
        ------
        ModelError
            If a file is missing, damaged or belongs to another specification.
        """
        return self.assembled(self.parts(sample_rate))

    def whole_network(self) -> WholeNetwork:
        """Return the network that normalises with the statistics of the whole file, verified.

        Raises
        ------
        ModelError
            If it is missing, damaged or belongs to another specification.
        """
        return load_whole(read_checked(self.folder, WHOLE), self.spec)


def engine_for(spec: CanSpec, engine: str = "auto", precision: str = "float") -> str:
    """Resolve "auto": the compiled hop, the fastest, for spectral networks; LiteRT for the others and for int8."""
    if engine != "auto":
        return engine
    return "numba" if spec.domain == "spectral" and precision == "float" else "litert"


def models_folder() -> Path:
    """Return the folder of the shipped models, in a checkout or an installation."""
    package = Path(__file__).resolve().parents[2]
    inside = package / "models"
    return inside if inside.is_dir() else package.parent / "models"


def model_names() -> list[str]:
    """Return the names of the shipped models."""
    return sorted(path.parent.name for path in models_folder().glob(f"*/{SPEC}"))


def open_model(name: str | Path) -> Model:
    """Open a shipped model by name, or any model by its folder.

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
    """Read one file of a model and verify its checksum.

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
    """Read digests by file name, in the format of ``sha256sum``."""
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
    """Write the files of a model, replacing any model in the folder: all to temporary files first, then renamed.

    Optional files of the previous model that are not in `contents` are removed: they belong to other weights.
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
    for name in {WHOLE, LITERT_INT8, START, ABOVE, LOW_RATES} - set(contents):
        (folder / name).unlink(missing_ok=True)
    for described in list((folder / SERVING).glob(f"*/{_SERVED}")):
        shutil.rmtree(described.parent)
    with contextlib.suppress(OSError):  # missing, or not empty
        (folder / SERVING).rmdir()
    write_checksums(folder)


def write_checksums(folder: Path) -> None:
    """Write the digests of all files except the model card."""
    names = [name for name in (SPEC, WEIGHTS, WHOLE, LITERT, START, ABOVE, LOW_RATES) if (folder / name).is_file()]
    names += sorted(path.name for path in folder.glob("model-*.tflite"))
    lines = [f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}" for name in names]
    (folder / CHECKSUMS).write_text("\n".join(lines) + "\n", encoding="utf-8")
