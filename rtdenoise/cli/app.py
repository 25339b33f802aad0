"""The root command: a source, a method, a target; and the group that finds the other commands."""

from __future__ import annotations

import pkgutil
from functools import lru_cache
from importlib import import_module
from typing import Any

import click

from rtdenoise import __version__
from rtdenoise.cli import commands
from rtdenoise.cli.live.options import LIVE_NAMES, live_options, refuse_live_options, take_live_options
from rtdenoise.cli.messages import configure_logging
from rtdenoise.cli.options import Options, method_options, take_method_options
from rtdenoise.cli.strict import StrictGroup
from rtdenoise.disk.names import is_folder, is_there
from rtdenoise.live_audio.device_names import STDIO, is_device, is_index, is_live

_FOR_FILES = ("plot", "rate", "pipe_channels", "jobs")
_SECTIONS = {
    "Source and target": ("source", "target", "overwrite"),
    "Method": (
        "method", "preset", "config", "sets", "channels", "model", "engine", "device", "attenuation_limit", "mix",
    ),
    "Files and folders": ("plot", "jobs"),
    "Pipes": ("rate", "form", "pipe_channels", "aligned"),
    "Live audio": LIVE_NAMES,
}  # fmt: skip


@lru_cache(maxsize=1)
def _modules() -> dict[str, str]:
    """Full names of the commands' modules, by command."""
    found = pkgutil.walk_packages(commands.__path__, f"{commands.__name__}.")
    return {module.name.rpartition(".")[2]: module.name for module in found if not module.ispkg}


class Commands(StrictGroup):
    """Every module below `rtdenoise.cli.commands` is a command of the same name: its object ``command``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of all commands."""
        return sorted(_modules())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in _modules():
            return None
        command: click.Command = import_module(_modules()[cmd_name]).command
        command.help = (command.help or "").replace("\\b\n", "\b\n")  # raw docstrings spell click's mark in two letters
        return command

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Options grouped under headings, then the commands."""
        left = {param.name: param for param in self.get_params(ctx)}
        for title, names in _SECTIONS.items():
            self._write_options(ctx, formatter, title, [left.pop(name) for name in names])
        self._write_options(ctx, formatter, "Output and help", list(left.values()))
        self.format_commands(ctx, formatter)

    @staticmethod
    def _write_options(
        ctx: click.Context, formatter: click.HelpFormatter, title: str, params: list[click.Parameter]
    ) -> None:
        records = [record for param in params if (record := param.get_help_record(ctx)) is not None]
        if records:
            with formatter.section(title):
                formatter.write_dl(records)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command of an argument; if it names a file, explain the correct usage."""
        name = args[0]
        if name not in self.list_commands(ctx) and (is_there(name) or name == STDIO or is_live(name)):
            raise click.UsageError(f"{name} is no command; to denoise it: rtdenoise --input {name}")
        return super().resolve_command(ctx, args)


_EPILOG = """\b
Examples:
  rtdenoise demo                                 # no file at hand?
  rtdenoise --input noisy.wav --method CAN       # -> noisy_CAN_denoised.wav beside it
  rtdenoise -f noisy.wav -a SS -o clean.flac --plot
  rtdenoise --input recordings/                  # a whole folder, on all cores
  rtdenoise --input mic --method CAN             # live: microphone to speaker
  arecord -q -f S16_LE -r 16000 -t raw | rtdenoise -f - -o - --rate 16000 | aplay -q -f S16_LE -r 16000 -t raw
"""


@click.group(
    cls=Commands,
    invoke_without_command=True,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option(
    "-f", "--input", "source", metavar="SOURCE", help="A file, a folder, - for standard input, mic or mic:NAME."
)
@click.option(
    "-o",
    "--output",
    "target",
    metavar="TARGET",
    help="A file, a folder, -, speaker or virtual-mic.  [default: beside the source; of mic: speaker]",
)
@method_options
@live_options
@click.option("--overwrite", is_flag=True, help="Replace files that exist.")
@click.option("--plot", is_flag=True, help="Also write a PNG: spectrograms, level and gain over time.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option("--rate", type=int, metavar="HZ", help="Sample rate of raw audio on standard input, which needs it.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["s16", "s24", "s32", "f32", "wav"]),
    help="Samples on pipes; wav: a WAV goes out.  [default: like the input; raw input: s16]",
)
@click.option(
    "--pipe-channels",
    type=int,
    default=1,
    metavar="N",
    help="Channels of raw audio on standard input.  [default: 1]",
)
@click.option(
    "--align/--no-align",
    "aligned",
    default=True,
    help="Leave out the silence that the method's delay puts in front, or keep it.  [default: align]",
)
@click.option(
    "--jobs", type=click.IntRange(min=1), metavar="N", help="Processes for a folder.  [default: as many as pay]"
)
@click.option("-q", "--quiet", is_flag=True, help="Print errors only.")
@click.option("-v", "--verbose", "verbosity", count=True, help="Print more; -vv everything.")
@click.version_option(__version__, "--version", message="rtdenoise %(version)s")
@click.pass_context
def app(ctx: click.Context, /, **values: Any) -> int | None:
    """Take the noise out of speech, live or in files.

    The output of a file is aligned with its input, exactly as long and of the same format.
    """
    configure_logging(values["verbosity"], quiet=values["quiet"])
    if ctx.invoked_subcommand is not None:
        _refuse_options(ctx)
        return None
    given = _given(ctx)
    if not given:
        click.echo(ctx.get_help())
        return 0
    if values["source"] is None:
        raise click.UsageError("--input is missing: a file, a folder, - or mic")
    method, live = take_method_options(values), take_live_options(values)
    options = Options(method=method, live=live, **values)
    if not _plays_live(options):
        refuse_live_options(given, live)
    elif misplaced := [name for name in given if name in _FOR_FILES]:
        raise click.UsageError(f"--{misplaced[0].replace('_', '-')} is for files and pipes, not for live audio")
    return _run(options)


def _plays_live(options: Options) -> bool:
    return any(is_live(name) or is_index(name) for name in (options.source, options.target))


def _given(ctx: click.Context) -> list[str]:
    """Names of the options on the command line."""
    from_line = click.core.ParameterSource.COMMANDLINE
    return [name for name in ctx.params if ctx.get_parameter_source(name) is from_line]


def _refuse_options(ctx: click.Context) -> None:
    misplaced = [name for name in _given(ctx) if name not in ("quiet", "verbosity")]
    if misplaced:
        raise click.UsageError(f"options go behind the command: rtdenoise {ctx.invoked_subcommand} --...")


def _refuse_devices_name(source: str) -> None:
    """Raise with a hint at mic:NAME if a missing file may be meant as a microphone."""
    if not is_device(source):
        return
    from rtdenoise.errors import AudioFileError, DeviceError
    from rtdenoise.live_audio.audio.devices import find_device, list_devices

    try:
        device = find_device(list_devices(), source, "input")
    except DeviceError as error:
        several = "ambiguous" in str(error)
        hint = (
            f"several microphones are called so: {error}"
            if several
            else "a microphone is mic:NAME (`rtdenoise devices`)"
        )
        raise AudioFileError(f"{source}: no such file; {hint}") from error
    raise AudioFileError(f"{source}: no such file; the microphone {device.name!r} is --input 'mic:{source}'")


def _run(options: Options) -> int:
    """Dispatch on the kinds of source and target."""
    if _plays_live(options):
        from rtdenoise.cli.live.route import run_live

        return run_live(options)
    from rtdenoise.files.naming import refuse_address

    for name in (options.source, options.target or ""):
        refuse_address(name)
    _refuse_devices_name(options.source)
    if STDIO in (options.source, options.target):
        from rtdenoise.cli.pipes import run_pipe

        return run_pipe(options)
    from rtdenoise.cli.files import run_file, run_folder

    return run_folder(options) if is_folder(options.source) else run_file(options)
