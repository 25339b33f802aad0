"""``rtdenoise train``: train the network."""

from __future__ import annotations

import os
from pathlib import Path

import click

from rtdenoise.cli.strict import StrictCommand
from rtdenoise.errors import ConfigError


@click.command(
    cls=StrictCommand, short_help="Train a network, for denoising or for a loss, as a YAML file describes it."
)
@click.argument("config", metavar="CONFIG", type=click.Path(path_type=Path))
@click.option("--data", type=click.Path(path_type=Path), metavar="DIR", help="Recordings.  [default: data: of CONFIG]")
@click.option(
    "--more",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Further recordings to train on; may be repeated.  [default: more: of CONFIG]",
)
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="Change a setting, e.g. steps=20000.")
@click.option(
    "--run", type=click.Path(path_type=Path), metavar="DIR", help="Checkpoints and logs.  [default: runs/NETWORK]"
)
@click.option(
    "--cache", type=click.Path(path_type=Path), metavar="DIR", help="Decoded recordings.  [default: ~/.cache/rtdenoise]"
)
@click.option(
    "--start", type=click.Path(path_type=Path), metavar="FILE", help="Begin with the weights of a checkpoint."
)
@click.option("--resume", is_flag=True, help="Go on with the run in its folder, exactly where it stopped.")
@click.option("--restart", is_flag=True, help="Begin anew although the folder holds a run.")
@click.option("--dry-run", is_flag=True, help="Only write spectrograms and WAVs of what the network will hear.")
@click.option("-q", "--quiet", is_flag=True, help="Print errors and the end only.")
def command(
    *,
    config: Path,
    data: Path | None,
    more: tuple[Path, ...],
    changes: tuple[str, ...],
    run: Path | None,
    cache: Path | None,
    start: Path | None,
    resume: bool,
    restart: bool,
    dry_run: bool,
    quiet: bool,
) -> int:
    r"""Train a network from speech and noise, or a feature network from labelled sounds, as a YAML file describes it.

    CONFIG is a YAML file, or the name of one that ships with rtdenoise (can-small).  Ctrl-C stops after a checkpoint;
    the same command with --resume goes on.  Needs the extra rtdenoise[tf]; Keras takes
    its backend from KERAS_BACKEND (torch: extra rtdenoise[torch], faster for networks over samples and for can-small).

    \b
    Examples:
        rtdenoise train configs/can-small.yaml --data recordings --dry-run
        rtdenoise train configs/can-small.yaml --data recordings --set steps=20000
        rtdenoise train configs/can-small.yaml --data recordings --more simulated-rooms
        rtdenoise train configs/feature-network.yaml --data ESC-50 --set 'tasks=[{name: sounds}]'
        rtdenoise export runs/can-small/best.npz configs/can-small.yaml my-model
    """
    from rtdenoise.cli.console import stderr_console
    from rtdenoise.cli.training import Watch, train_feature_network
    from rtdenoise.lab.training import session
    from rtdenoise.lab.training.progress import BEST, LAST, STOPPED
    from rtdenoise.lab.training.settings import read_configuration, settings_from_mapping

    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    values = read_configuration(config, list(changes))
    if "classifier" in values:
        if dry_run or more or start is not None:
            raise ConfigError("--dry-run, --more and --start are for networks that denoise, not for feature networks")
        return train_feature_network(
            values, data=data, folder=run, cache=cache, resume=resume, restart=restart, quiet=quiet
        )
    settings = settings_from_mapping(values)
    folder = run or Path("runs") / settings.network.name
    source, further = session.data_folder(settings, data), session.more_folders(settings, more)
    decoded = cache or session.default_cache()
    if dry_run:
        click.echo(session.preview(settings, data=source, more=further, folder=folder / "dry-run", cache=decoded))
        return 0
    session.check_begin(folder, resume=resume, restart=restart, start=start)
    with Watch(stderr_console(quiet=quiet), settings.network.name) as watch:
        reason = session.train(
            settings,
            data=source,
            more=further,
            folder=folder,
            cache=decoded,
            resume=resume,
            start=start,
            observe=watch.update,
        )
    click.echo(f"{folder}: {watch.summary(reason)}")
    best = folder / BEST if (folder / BEST).is_file() else folder / LAST
    watch.hint(f"rtdenoise export {best} {config} FOLDER makes a model of it; --resume goes on")
    return 130 if reason == STOPPED else 0
