"""What MkDocs does not do by itself: pages from outside docs/, links that hold in the source and here, ``--help``.

README.md becomes the first page; cards of networks, the changelog and the like keep their paths.  Whatever else of the
source a page links to (a program, a configuration) becomes a page with its text.  The source has one set of links, that
of the files; here they are turned to the pages.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
INDEX, CLI = "index.md", "cli.md"
PAGES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "examples/README.md", "models/README.md")
_LINK = re.compile(r"(!?\[[^\]]*\]\()([^)\s#]*)(#[^)\s]*)?\)")
_FENCE = re.compile(r"(^ *```.*?^ *```$)", re.DOTALL | re.MULTILINE)
_PLAYER = 'controls controlslist="nodownload noplaybackrate" preload="none"'
_LANGUAGES = {".py": "python", ".yaml": "yaml", ".yml": "yaml", ".json": "json"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages from outside docs/, and what they and others link to."""
    todo = [*PAGES, *(card.relative_to(ROOT).as_posix() for card in sorted(ROOT.glob("models/*/README.md")))]
    todo += [f"docs/{file.src_uri}" for file in files.documentation_pages()]
    seen: set[str] = set()
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        if not name.startswith("docs/"):
            shown = InclusionLevel.UNDEFINED if name.endswith(".md") else InclusionLevel.NOT_IN_NAV
            files.append(File.generated(config, place(name), content=_content(name), inclusion=shown))
        if name.endswith(".md"):
            todo += [
                target for target in _targets(name) if (ROOT / target).is_file() and not _is_sound_or_picture(target)
            ]
    files.append(File.generated(config, CLI, content=commands()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links between files to links between pages."""
    uri = page.file.src_uri
    if uri == INDEX:
        return relinked(markdown, "README.md")
    return relinked(markdown, uri if (ROOT / uri).is_file() else f"docs/{uri}")


def relinked(markdown: str, source: str) -> str:
    """The text of a file of the source with its links as the site has them; those to sounds become players.

    Parameters
    ----------
    markdown : str
    source : str
        Path of the file in the source.
    """

    def turn(match: re.Match[str]) -> str:
        head, target, anchor = match[1], match[2], match[3] or ""
        if not target or "://" in target or target.startswith("mailto:"):
            return match[0]
        found = resolved(source, target)
        if found.endswith(".ogg"):
            word, name = head[1 : head.index("]")], posixpath.basename(found).removesuffix(".ogg")
            player = f'<audio {_PLAYER} aria-label="{name}" src="{up}{place(found)}"></audio>'
            return f'<span class="sound"><span>{word}</span> {player}</span>'
        to = posixpath.relpath(place(found), posixpath.dirname(place(source)) or ".")
        return f"{head}{to}{anchor})"

    up = "" if source == "README.md" else "../" * (1 + place(source).removesuffix("README.md").rstrip("/").count("/"))
    parts = _FENCE.split(markdown)
    return "".join(part if number % 2 else _LINK.sub(turn, part) for number, part in enumerate(parts))


def resolved(source: str, target: str) -> str:
    """Path in the source that a link of a file leads to; of a folder, its README."""
    found = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
    readme = posixpath.join(found, "README.md")
    return readme if (ROOT / readme).is_file() else found


def place(name: str) -> str:
    """Where a file of the source is on the site."""
    if name == "README.md":
        return INDEX
    if name.startswith("docs/"):
        return name.removeprefix("docs/")
    name = name.lstrip(".")  # MkDocs leaves out what is hidden
    return name if name.endswith(".md") or _is_sound_or_picture(name) else f"{name}.md"


def commands() -> str:
    """The page of the command line: what ``--help`` says of the program and of each command."""
    from rtdenoise.cli.app import app

    program = click.Context(app, info_name="rtdenoise", terminal_width=100, max_content_width=100)
    parts = ["# Command line", f"```text\n{app.get_help(program)}\n```"]
    for name in app.list_commands(program):
        command = app.get_command(program, name)
        assert command is not None
        context = click.Context(command, info_name=name, parent=program, terminal_width=100, max_content_width=100)
        parts.append(f"## rtdenoise {name}\n\n```text\n{command.get_help(context)}\n```")
    return "\n\n".join(parts) + "\n"


def _content(name: str) -> str:
    text = (ROOT / name).read_text(encoding="utf-8")
    if name.endswith(".md"):
        return text
    return f"# {name}\n\n```{_LANGUAGES.get(Path(name).suffix, 'text')}\n{text}```\n"


def _is_sound_or_picture(name: str) -> bool:
    return name.endswith((".png", ".webp", ".svg", ".ogg"))


def _targets(name: str) -> list[str]:
    text = _FENCE.sub("", (ROOT / name).read_text(encoding="utf-8"))
    targets = [match[2] for match in _LINK.finditer(text)]
    return [resolved(name, target) for target in targets if target and "://" not in target]
