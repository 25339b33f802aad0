"""The pages of the documentation and what is in them: links, headings, and blocks with what a test does with each.

A comment in front of a block, which no reader sees, says what is done with it.  Without one it is run.

    <!-- test: parsed: REASON -->      commands, options and names are checked, nothing is run
    <!-- test: needs PACKAGE -->       run where that package is installed
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "examples/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "models").glob("**/README.md")),
]
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_MARK = re.compile(r"<!-- test: (parsed|needs):? (.+) -->$")
_FENCE = re.compile(r"^(```.*?^```$)", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page; `todo` is "run", "parsed" or "needs", `why` the reason or the package."""

    page: str
    line: int
    language: str
    text: str
    todo: str
    why: str

    @property
    def name(self) -> str:
        """Where it is."""
        return f"{self.page}:{self.line}"

    @property
    def commands(self) -> list[str]:
        """The lines of a block of the shell, continued ones joined, without their comments."""
        joined = re.sub(r"\\\n\s*", "", self.text)
        return [text for line in joined.splitlines() if (text := re.sub(r"(^|\s+)#.*$", "", line).strip())]


def name_of(page: Path) -> str:
    """Path of a page in the source."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> list[Block]:
    """Every fenced block of a page."""
    found, lines, at = [], page.read_text(encoding="utf-8").splitlines(), 0
    while at < len(lines):
        if not lines[at].startswith("```"):
            at += 1
            continue
        end = next(i for i in range(at + 1, len(lines)) if lines[i].startswith("```"))
        mark = _MARK.match(lines[at - 1]) if at else None
        assert mark or not (at and lines[at - 1].startswith("<!-- test")), f"{name_of(page)}:{at}: {lines[at - 1]}"
        todo, why = (mark[1], mark[2]) if mark else ("run", "")
        text = "\n".join(lines[at + 1 : end])
        found.append(Block(name_of(page), at + 1, lines[at][3:].strip(), text, todo, why))
        at = end + 1
    return found


def links(page: Path) -> list[str]:
    """Targets of the links of a page, those in blocks left out."""
    return _LINK.findall(_FENCE.sub("", page.read_text(encoding="utf-8")))


def anchors(page: Path) -> set[str]:
    """What links can lead to in a page: its headings, as GitHub and the site name them."""
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in plain}
