"""``rtdenoise export``: a trained checkpoint becomes a model."""

from __future__ import annotations

import os
from pathlib import Path

import click

from rtdenoise.cli.strict import StrictCommand

_PATH = click.Path(path_type=Path)


@click.command(cls=StrictCommand, short_help="Write a model folder from a training checkpoint.")
@click.argument("checkpoint", metavar="CHECKPOINT", type=_PATH)
@click.argument("config", metavar="CONFIG", type=_PATH)
@click.argument("folder", metavar="DIR", type=_PATH)
@click.option("--mask-power", type=float, help="Exponent of the gain; below 1 suppresses less.  [default: of CONFIG]")
@click.option("--gain-min-db", type=float, help="Lowest gain.  [default: of CONFIG]")
@click.option("--start", is_flag=True, help="Also write start.npz, to begin another training with.")
@click.option("--int8", is_flag=True, help="Also write model-int8.tflite.")
@click.option("--saved-model", is_flag=True, help="Also write a SavedModel and its config for a Triton server.")
@click.option("--recordings", type=_PATH, metavar="PATH", help="Noisy speech: sets 8-bit weights or statistics.")
@click.option("--overwrite", is_flag=True, help="Replace a model that exists, and all that was exported with it.")
def command(
    *,
    checkpoint: Path,
    config: Path,
    folder: Path,
    mask_power: float | None,
    gain_min_db: float | None,
    start: bool,
    int8: bool,
    saved_model: bool,
    recordings: Path | None,
    overwrite: bool,
) -> None:
    r"""Write a model folder from a training checkpoint: weights, LiteRT file, specification, checksums, a card.

    CHECKPOINT is best.npz or last.npz of a run, CONFIG the YAML file it was started with, for the name and the values
    of use: the network itself is taken as it was trained.  A feature network becomes a
    folder that the loss term deep_features reads.  CHECKPOINT may also be a TensorFlow 1 checkpoint of the network
    published in 2018; what streams are then normalised with is taken from noisy --recordings.  The weights of a dense
    network over spectra are rounded to 8 bits; with noisy --recordings so that its output changes less.  Needs the
    extra rtdenoise[tf].

    \b
    Examples:
        rtdenoise export runs/can-small/best.npz configs/can-small.yaml my-model
        rtdenoise --input mic --model my-model
        rtdenoise export se_model.ckpt configs/germain2018.yaml published --recordings noisy/
    """
    from rtdenoise.errors import ModelError
    from rtdenoise.lab.classifier.store import NETWORK, export_features
    from rtdenoise.lab.export import model_folder
    from rtdenoise.lab.export.card import remove_card
    from rtdenoise.lab.export.convert import convert_tensorflow1, is_tensorflow1
    from rtdenoise.lab.training.settings import read_configuration, settings_from_mapping
    from rtdenoise.methods.can import models

    values = read_configuration(config)
    if "classifier" in values:
        if (folder / NETWORK).is_file() and not overwrite:
            raise ModelError(f"{folder} holds a feature network already; --overwrite replaces it")
        os.environ.setdefault("KERAS_BACKEND", "tensorflow")
        told = ", ".join(f"{name} {value:.3f}" for name, value in export_features(checkpoint, folder).items())
        click.echo(f"{folder}: {told or 'not validated yet'}")
        return
    if (folder / models.SPEC).is_file() and not overwrite:
        raise ModelError(f"{folder} holds a model already; --overwrite replaces it")
    spec = settings_from_mapping(values).network
    if is_tensorflow1(checkpoint):
        convert_tensorflow1(checkpoint, spec, folder, recordings)
        if not remove_card(folder):
            model_folder.warn_of_card(folder)
        click.echo(f"{folder}: converted")
        return
    use = {"mask_power": mask_power, "gain_min_db": gain_min_db}
    facts = model_folder.export_checkpoint(
        checkpoint, spec, folder, int8=int8, start=start, recordings=recordings, config=config, **use
    )
    if saved_model:
        from rtdenoise.lab.export.serving import export_saved_model

        export_saved_model(models.open_model(folder).network(), folder / models.SERVING / spec.name)
    click.echo(f"{folder}: {facts['audio_seconds'] / 3600.0:.1f} hours of sound heard")
