"""Store a trained feature network on disk as plain arrays, for the deep feature loss."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import itertools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rtdenoise.errors import ConfigError, ModelError
from rtdenoise.lab.classifier.spec import FeatureSpec, Task, feature_spec
from rtdenoise.methods.can.models import models_folder, read_checked
from rtdenoise.typing import F32

NETWORK, WEIGHTS, CHECKSUMS = "network.json", "features.npz", "SHA256SUMS"


@dataclass(frozen=True, slots=True)
class FeatureNetwork:
    """Weights with the normalisation folded into the convolutions.

    Attributes
    ----------
    spec : FeatureSpec
    tasks : tuple of Task
    kernels : tuple of (kernel, n_in, n_out) float32
    biases : tuple of (n_out,) float32
    heads : tuple of ((n_features, n_classes), (n_classes,)) float32
    """

    spec: FeatureSpec
    tasks: tuple[Task, ...]
    kernels: tuple[F32, ...]
    biases: tuple[F32, ...]
    heads: tuple[tuple[F32, F32], ...]

    def __post_init__(self) -> None:
        widths = (1, *self.spec.widths)
        expected = [(self.spec.kernel, a, b) for a, b in itertools.pairwise(widths)]
        found = [k.shape for k in self.kernels]
        if found != expected or [b.shape for b in self.biases] != [(w,) for w in self.spec.widths]:
            raise ModelError(f"weights do not fit the feature network: shapes {found}, not {expected}")


def network_from_checkpoint(path: Path) -> FeatureNetwork:
    """The averaged network of a classifier run, with values rounded to 16 bits.

    Raises
    ------
    ModelError
        If the checkpoint is not of a feature network, or is damaged.
    """
    from rtdenoise.lab.classifier.network import BATCHNORM_EPSILON, build_classifier
    from rtdenoise.lab.training.checkpoint import load_checkpoint

    checkpoint = load_checkpoint(path)
    if "tasks" not in checkpoint.facts or "classifier" not in checkpoint.facts:
        raise ModelError(f"{path}: the checkpoint of another kind of network, not of a feature network")
    spec = feature_spec(checkpoint.facts["classifier"])
    tasks = _tasks(checkpoint.facts["tasks"])
    model = build_classifier(spec, tasks)
    if [tuple(w.shape) for w in model.weights] != [a.shape for a in checkpoint.averages]:
        raise ModelError(f"{path}: its weights do not fit the feature network it describes")
    for variable, array in zip(model.weights, checkpoint.averages, strict=True):
        variable.assign(array)

    def arrays(name: str) -> list[F32]:
        return [w.numpy().astype(np.float32) for w in model.get_layer(name).weights]

    kernels, biases = [], []
    for number in range(spec.layers):
        gamma, beta, mean, variance = (a.astype(np.float64) for a in arrays(f"norm{number}"))
        scale = gamma / np.sqrt(variance + BATCHNORM_EPSILON)
        kernels.append(_rounded(arrays(f"conv{number}")[0] * scale))
        biases.append(_rounded(beta - mean * scale))
    heads = []
    for number in range(len(tasks)):
        kernel, bias = arrays(f"head{number}")
        heads.append((_rounded(kernel), _rounded(bias)))
    return FeatureNetwork(spec, tasks, tuple(kernels), tuple(biases), tuple(heads))


def _tasks(values: list[dict[str, Any]]) -> tuple[Task, ...]:
    return tuple(Task(**{**task, "classes": tuple(task["classes"])}) for task in values)


def _rounded(array: Any) -> F32:
    return np.asarray(array).astype(np.float16).astype(np.float32)


def write_features(network: FeatureNetwork, folder: Path) -> None:
    """Write a folder readable by `load_features`.

    Raises
    ------
    ModelError
        If it cannot be written.
    """
    named: dict[str, Any] = {f"kernel{i}": a for i, a in enumerate(network.kernels)}
    named |= {f"bias{i}": a for i, a in enumerate(network.biases)}
    for number, (kernel, bias) in enumerate(network.heads):
        named |= {f"head{number}_kernel": kernel, f"head{number}_bias": bias}
    content = io.BytesIO()
    np.savez(content, **{name: a.astype(np.float16) for name, a in named.items()})
    described = {"spec": dataclasses.asdict(network.spec), "tasks": [dataclasses.asdict(t) for t in network.tasks]}
    files = {NETWORK: (json.dumps(described, indent=2) + "\n").encode(), WEIGHTS: content.getvalue()}
    sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in files.items())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in {**files, CHECKSUMS: sums.encode()}.items():
            (folder / name).write_bytes(data)
    except OSError as error:
        raise ModelError(f"{folder}: feature network not written ({error.strerror})") from error


def load_features(name: str | Path) -> FeatureNetwork:
    """Load a shipped feature network by name, or any by its folder; every file's checksum is verified.

    Raises
    ------
    ModelError
        If it does not exist or is damaged.
    """
    shipped = models_folder() / str(name)
    folder = shipped if Path(name).name == str(name) and (shipped / NETWORK).is_file() else Path(name)
    if not (folder / NETWORK).is_file():
        raise ModelError(
            f"no feature network {str(name)!r}: no {NETWORK} in {folder}; train one with configs/feature-network.yaml "
            "and export it"
        )
    try:
        described = json.loads(read_checked(folder, NETWORK))
        spec, tasks = feature_spec(described["spec"]), _tasks(described["tasks"])
        with np.load(io.BytesIO(read_checked(folder, WEIGHTS))) as file:
            named = {key: file[key].astype(np.float32) for key in file.files}
        kernels = tuple(named[f"kernel{i}"] for i in range(spec.layers))
        biases = tuple(named[f"bias{i}"] for i in range(spec.layers))
        heads = tuple((named[f"head{i}_kernel"], named[f"head{i}_bias"]) for i in range(len(tasks)))
    except (KeyError, TypeError, ValueError, ConfigError) as error:
        raise ModelError(f"{folder}: not a feature network ({error})") from error
    return FeatureNetwork(spec, tasks, kernels, biases, heads)


def export_features(checkpoint: Path, folder: Path) -> dict[str, Any]:
    """Write the feature network of a checkpoint; returns its scores on validation clips."""
    from rtdenoise.lab.training.checkpoint import load_checkpoint

    write_features(network_from_checkpoint(checkpoint), folder)
    figures: dict[str, Any] = load_checkpoint(checkpoint).facts.get("figures", {})
    return figures
