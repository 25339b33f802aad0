"""Command lines that would do something else than they seem to are refused in one line."""

from __future__ import annotations

import pytest

from rtdenoise.cli.app import app
from tests.cli.conftest import names


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["-f", ""], 2, "--input is empty"),
        (["-f", "noisy.wav", "-o", ""], 2, "--output is empty"),
        (["-f", "noisy.wav", "--preset", ""], 2, "--preset is empty"),
        (["-f", "noisy.wav", "--set", ""], 2, "--set is empty"),
        (["batch", "", "out"], 2, "SOURCE is empty"),
        (["demo", "-o", ""], 2, "--output is empty"),
        (["-f", "a.wav", "-f", "b.wav"], 2, "--input is given twice, as a.wav and b.wav"),
        (["-f", "a.wav", "--input", "b.wav"], 2, "--input is given twice"),
        (["-f", "noisy.wav", "-a", "SS", "--method", "WF"], 2, "--method is given twice"),
        (["-f", "noisy.wav", "--set", "mix=1", "--set", "mix=0"], 2, "--set mix is given twice"),
        (["doctor", "--seconds", "1", "--seconds", "2"], 2, "--seconds is given twice"),
        (["live", "--channels", "2", "--live-channels", "3"], 2, "mean the same; give one"),
        (["-f", "noisy.wav", "--jobs", "0"], 2, "0 is not in the range x>=1"),
        (["-f", "noisy.wav", "--attenuation-limit", "-3"], 2, "'--attenuation-limit': -3"),
        (["-f", "noisy.wav", "--attenuation-limit", "nan"], 2, "'--attenuation-limit'"),
        (["-f", "noisy.wav", "--preset", "can-small"], 2, "is a network, not a preset: --model can-small"),
        (["-f", "noisy.wav", "-o", "newdir/"], 1, "newdir/: there is no such folder; make it first"),
        (["-f", "https://x.org/a.wav?b=1"], 1, "fetch it first: curl -L -o a.wav 'https://x.org/a.wav?b=1'; or"),
        (["-f", "file:///home/me/a.wav"], 1, "give the path alone: /home/me/a.wav"),
        (["-f", "s3://bucket/a.wav"], 1, "`rtdenoise batch` reads and writes folders there"),
        (["-f", "noisy.wav", "-o", "http://x.org/a.wav"], 1, "is an address, not a file"),
        (["-f", "4k.wav"], 1, "4k.wav: has 4000 Hz; from 8000 to 192000 Hz can be denoised; resample it first: ffmpeg"),
        (["-f", "384k.wav"], 1, "ffmpeg -i 384k.wav -ar 192000 384k-192000.wav"),
        (["-f", "results"], 1, "results: holds only results of earlier runs"),
        (["bench", "-a", "bypass", "-o", "noisy.wav"], 1, "noisy.wav: is a file; name a folder"),
        (["demo", "-o", "noisy.wav"], 1, "noisy.wav: is a file; name a folder"),
        (["demo", "--model", "nope"], 1, "no model 'nope'"),
    ],
)
def test_one_line_and_nothing_written(call, make, tmp_path, arguments, code, message):
    make()
    make("4k.wav", rate=4000)
    make("384k.wav", rate=384000)
    make("results/noisy_WF_denoised.wav")
    before = names(tmp_path)

    done = call(*arguments)

    lines = [line for line in done.err.splitlines() if ": note: preparing" not in line]
    assert len(lines) == 1 and message in lines[0], done.err
    assert (done.code, done.out) == (code, "")
    assert names(tmp_path) == before


def test_every_command_is_strict():
    """The check leans on the parser that click builds, which is its own affair: a new version must still be checked."""
    for name in app.list_commands(None):
        command = app.get_command(None, name)
        with command.make_context(name, [], resilient_parsing=True) as context:
            parser = command.make_parser(context)
        stored = [option for option in parser._long_opt.values() if option.action in ("store", "append")]
        assert all(option.process.func.__name__ == "_store_option" for option in stored), name


def test_help_has_a_heading_for_each_kind_of_option(call):
    shown = call("--help").out
    titles = ("Source and target:", "Method:", "Files and folders:", "Pipes:", "Live audio:", "Output and help:")
    positions = [shown.index(f"\n{title}\n") for title in (*titles, "Commands:")]
    assert positions == sorted(positions)
    assert shown.index("--duration") > shown.index("Live audio:") > shown.index("--plot")
    for param in app.params:
        assert max(param.opts, key=len) in shown
