"""The pages: links lead somewhere, commands and programs do what they say, the README is short and gets one going."""

from __future__ import annotations

import ast
import importlib
import re
import shlex
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import soundfile

from rtdenoise.cli.app import app
from tests.cli.conftest import call
from tests.documents import PAGES, ROOT, Block, anchors, blocks, links, name_of
from tests.files.conftest import voice

__all__ = ["call"]

BLOCKS = [block for page in PAGES for block in blocks(page)]
SHELL = [block for block in BLOCKS if block.language == "sh"]
PYTHON_PAGES = sorted({block.page for block in BLOCKS if block.language == "python"})
README_LINES_MAX = 150

NOT_RUN = {
    "pip": "packages are installed by the gate, and extras named by tests/test_package.py",
    "venv": "environments are made by the gate",
    ".": "it enters an environment",
    "sudo": "it changes the system",
    "docker": "there is no docker in the gate",
    "nox": "the sessions of noxfile.py are the gate",
    "pytest": "the suite does not run itself",
    "ruff": "the session lint does",
    "tests/virtual_card/install": "it changes the system",
    "rm": "it removes what is yours",
}
"""First words of commands that are only read, with the reason."""


# links


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page):
    for target in links(page):
        if "://" in target or target.startswith("mailto:"):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{target}: no such file"
        assert ROOT in there.parents, f"{target}: outside the source"
        there = there / "README.md" if there.is_dir() else there
        assert not anchor or anchor in anchors(there), f"{target}: no such heading"


def test_every_page_can_be_found():
    """From the README, link by link."""
    todo, seen = [ROOT / "README.md"], set()
    while todo:
        page = todo.pop()
        if page in seen or page.suffix != ".md":
            continue
        seen.add(page)
        targets = [(page.parent / path).resolve() for target in links(page) if (path := target.partition("#")[0])]
        todo += [target / "README.md" if target.is_dir() else target for target in targets if target.exists()]
    assert set(PAGES) <= seen, sorted(map(name_of, set(PAGES) - seen))


# commands


@pytest.fixture
def place(tmp_path) -> Path:
    """What the pages speak of, a second long: recordings, and folders of them."""
    for name in ("noisy.wav", "recordings/a.wav", "recordings/b.flac", "archive/c.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        soundfile.write(tmp_path / name, voice(16000, 16000, 1), 16000)
    (tmp_path / "noisy.raw").write_bytes(np.rint(voice(8000, 16000, 1) * 2**15).astype("<i2").tobytes())
    return tmp_path


@pytest.mark.parametrize("block", SHELL, ids=lambda block: block.name)
def test_commands_do_what_the_page_says(block, place, call):
    assert block.commands
    if block.todo == "needs" and find_spec(block.why) is None:
        pytest.skip(f"package {block.why} is not installed")
    for line in block.commands:
        for part in re.split(r" && | \| ", line):
            words = command_words(part)
            reason = next((NOT_RUN[word] for word in words[:3] if word in NOT_RUN), block.why)
            if words[0] == "rtdenoise":
                check_options(words[1:])
                if block.todo != "parsed" and not reason.startswith("there is no docker"):
                    done = call(*words[1:])
                    assert done.code == 0, f"{part}: {done.err}"
            elif "python" in words[0] and not reason.startswith(tuple(NOT_RUN.values())):
                check_script(words[1:])
            else:
                assert reason, f"{part}: nothing here runs it; mark its block as parsed, with the reason"


def command_words(part: str) -> list[str]:
    """Words of a command, without variables in front and redirections behind."""
    words = shlex.split(part)
    while re.match(r"[A-Z_]+=", words[0]):
        del words[0]
    words = words[: next((i for i, word in enumerate(words) if word in ("<", ">")), len(words))]
    if words[0] == "cd":
        return ["."]
    return words[2:] if words[:2] in (["python3", "-m"], ["python", "-m"]) and words[2] in NOT_RUN else words


def check_options(words: list[str]) -> None:
    """Commands and options exist, and values are ones that they take."""
    name = next(iter(words), "")
    words = [word for word in words if word != "..."]
    command: click.Command | None = (
        app.get_command(click.Context(app), name) if name in app.list_commands(None) else app
    )
    assert command is not None
    words = words[1:] if command is not app else words
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(click.Path, "convert", lambda _self, value, _param, _ctx: value)  # files may be anybody's
        command.make_context(name, list(words), resilient_parsing=False)


def check_script(words: list[str]) -> None:
    """A program of ours exists and takes these options."""
    if words[0] == "-m":
        path = ROOT / (words[1].replace(".", "/") + ".py")
        path = path if path.is_file() else ROOT / words[1].replace(".", "/") / "__main__.py"
        words = words[1:]
    elif words[0] == "-c":
        ast.parse(words[1])
        return
    else:
        path = next((found for found in (ROOT / words[0], ROOT / "benchmarks" / words[0]) if found.is_file()), ROOT)
    assert path.is_file(), f"{words[0]}: no such program"
    folder = path.parent if path.name == "__main__.py" else None
    text = "".join(each.read_text("utf-8") for each in (folder.glob("*.py") if folder else [path]))
    if "add_material(" in text:
        text += (ROOT / "benchmarks/material.py").read_text("utf-8")
    for option in (word for word in words if word.startswith("--")):
        assert f'"{option}"' in text, f"{words[0]}: has no {option}"


def test_a_wrong_option_is_seen():
    with pytest.raises(click.UsageError, match="--metod"):
        check_options(["--input", "noisy.wav", "--metod", "WF"])
    with pytest.raises(click.UsageError, match="bet"):
        check_options(["live", "--latency", "low", "--run-in", "bet"])
    with pytest.raises(AssertionError, match="--sed"):
        check_script(["-m", "benchmarks.listening", "--sed", "1"])
    with pytest.raises(AssertionError, match="no such program"):
        check_script(["benchmarks/" + "listen.py"])


# Python


@pytest.mark.parametrize("page", PYTHON_PAGES)
def test_programs_run(page, place, monkeypatch):
    """One after the other, as a reader would type them; what is not run is compiled, and its names of ours exist."""
    monkeypatch.chdir(place)
    there = names_of_readers()
    for block in (block for block in BLOCKS if block.page == page and block.language == "python"):
        code = compile(block.text, block.name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        if block.todo == "run" or (block.todo == "needs" and find_spec(block.why)):
            exec(code, there)
        check_names(block)


def names_of_readers() -> dict[str, Any]:
    """What readers bring along."""
    signal = voice(16000, 16000, 1)[:, 0].astype(np.float32)
    return {"signal": signal, "chunk": signal[:1000], "blocks": np.split(signal, 50), "play": lambda _sound: None}


def check_names(block: Block) -> None:
    """What a program imports from this package, or takes from it by name, is there."""
    for node in ast.walk(ast.parse(block.text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rtdenoise"):
            path = ROOT / f"{node.module.replace('.', '/')}.py"
            assert path.is_file(), f"{block.name}: no module {node.module}"
            for alias in node.names:
                assert re.search(rf"^(class|def) {alias.name}\b", path.read_text("utf-8"), re.MULTILINE), alias.name
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "rtdenoise":
            assert hasattr(importlib.import_module("rtdenoise"), node.attr), f"{block.name}: rtdenoise.{node.attr}"


# the figures of the front door


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= README_LINES_MAX


def readme_shell() -> Iterator[str]:
    return (line for block in SHELL if block.page == "README.md" for line in block.commands)


def test_three_commands_from_the_top_of_the_readme_to_a_file_of_ones_own(place, call):
    """Make an environment, install, denoise."""
    lines = list(readme_shell())[:3]
    assert "venv" in lines[0] and "pip install" in lines[1], "the gate installs by these two"
    assert lines[2].startswith("rtdenoise --input noisy.wav")
    assert call(*shlex.split(lines[2])[1:]).code == 0
    made = list(place.glob("noisy_*_denoised.wav"))
    assert len(made) == 1
    clean, rate = soundfile.read(made[0])
    noisy, _ = soundfile.read(place / "noisy.wav")
    assert rate == 16000 and clean.shape == noisy.shape and np.std(clean) < np.std(noisy)


def test_two_commands_to_a_live_session():
    """Install, talk.  The second is only read here: tests/live/test_command.py runs it on a virtual card."""
    lines = list(readme_shell())
    install = next(i for i, line in enumerate(lines) if "pip install" in line)
    live = [line for line in lines[install + 1 :] if line.startswith(("rtdenoise --input mic", "rtdenoise live"))]
    check_options(shlex.split(live[0])[1:])
    assert live[0] == "rtdenoise --input mic --method CAN"


def test_ten_lines_of_python_make_a_loop():
    block = next(block for block in BLOCKS if block.page == "README.md" and block.language == "python")
    lines = [line for line in block.text.splitlines() if line.strip()]
    assert len(lines) <= 10 and any(line.lstrip().startswith("for ") for line in lines)
    there, heard = names_of_readers(), []
    there["play"] = heard.append
    exec(compile(block.text, block.name, "exec"), there)
    assert sum(map(len, heard)) == 2 * len(there["signal"]) + there["stream"].latency_samples


# --help

HELP_NAMES = ["", *app.list_commands(click.Context(app))]


def help_of(name: str) -> str:
    context = click.Context(app, info_name="rtdenoise", terminal_width=100, max_content_width=100)
    if not name:
        return app.get_help(context)
    command = app.get_command(context, name)
    assert command is not None
    return command.get_help(click.Context(command, info_name=name, parent=context, max_content_width=100))


@pytest.mark.parametrize("name", HELP_NAMES)
def test_help_has_examples_and_their_options_exist(name):
    """Every command has some, under the same word; lines that go to another program first are read, too."""
    shown = help_of(name)
    head, _, rest = shown.partition("Examples:\n")
    lines = [line.strip() for line in rest.partition("\n\n")[0].splitlines()]
    assert lines and "Example:" not in head
    for line in lines:
        calls = [part for part in re.sub(r"\s+# .*", "", line).split(" | ") if part.startswith("rtdenoise")]
        assert calls, f"{line}: no rtdenoise in it"
        for part in calls:
            check_options(shlex.split(part)[1:])


def test_the_list_of_commands_is_not_cut_short():
    listed = help_of("").partition("Commands:\n")[2].partition("\n\n")[0]
    assert len(listed.splitlines()) == len(HELP_NAMES) - 1 and "..." not in listed
