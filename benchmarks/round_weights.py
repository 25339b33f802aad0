"""Round the weights of shipped dense networks to eight bits, for mixtures like those they were trained on.

    python -m benchmarks.round_weights can-live can-ultra can-wave --data data
    python -m benchmarks.round_weights can-live --data data --checkpoint runs/can-live/last.npz

Writes a folder's `weights.npz` and `model.tflite` and leaves its other files alone.  Weights that are already rounded,
as an export leaves them, do not change; a checkpoint has them as they were trained.  Prints the power of the network's
output (logits of the gain, rotation) over that of the error, on other mixtures.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from rtdenoise.lab.data.batches import make_batch
from rtdenoise.lab.export.model_folder import convert_litert, network_from_checkpoint
from rtdenoise.lab.export.rounding import inputs_of, inputs_of_layers, rounded_for
from rtdenoise.lab.training.session import default_cache, open_mixer
from rtdenoise.lab.training.settings import load_settings
from rtdenoise.methods.can import models
from rtdenoise.methods.can.weights import Network, rounded, weights_as_bytes
from rtdenoise.typing import F32

CLIPS, SECONDS, SEED = 48, 4.0, 3
JUDGED = 8


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="+", help="a shipped network, or the folder of one")
    parser.add_argument("--data", type=Path, required=True, help="folder of recordings")
    parser.add_argument("--checkpoint", type=Path, help="of one model: the run whose averaged weights are rounded")
    options = parser.parse_args()
    if options.checkpoint is not None and len(options.model) > 1:
        parser.error("--checkpoint is of one model: name one")
    for name in options.model:
        model = models.open_model(name)
        trained = None if options.checkpoint is None else network_from_checkpoint(options.checkpoint, model.spec)[0]
        round_model(model, trained or model.network(), options.data)


def round_model(model: models.Model, network: Network, data: Path) -> None:
    """Write a model's weights anew: those of this network."""
    spec = model.spec
    mixtures = load_settings(Path("can-live"), []).mixtures
    mixer = open_mixer(data, "train", mixtures, cache=default_cache(), sample_rate=spec.sample_rate)
    n_samples = int(SECONDS * spec.sample_rate) // spec.hop * spec.hop
    clips = make_batch(mixer, seed=SEED, number=0, batch_size=CLIPS + JUDGED, n_samples=n_samples).noisy
    heard = [inputs_of(network, clip) for clip in tqdm(clips, desc=spec.name)]
    found = rounded_for(replace(network, above=None), heard[JUDGED:])
    wanted = [stacked(network, each) for each in heard[:JUDGED]]
    for label, each in (("rounded one by one", rounded(network)), ("now", found)):
        errors = sum(np.sum((stacked(each, x) - y) ** 2) for x, y in zip(heard, wanted, strict=False))
        print(f"{spec.name}: {10 * np.log10(sum(np.sum(y**2) for y in wanted) / max(errors, 1e-30)):.1f} dB, {label}")
    content = convert_litert(found)
    (model.folder / models.WEIGHTS).write_bytes(weights_as_bytes(found))
    (model.folder / models.LITERT).write_bytes(content)
    models.write_checksums(model.folder)


def stacked(network: Network, inputs: F32) -> F32:
    """Output of the stack, (n_hops, n_outputs)."""
    assert network.last is not None
    *_, rows = inputs_of_layers(network, inputs)
    return rows @ network.last[0] + network.last[1]


if __name__ == "__main__":
    main()
