"""Pages of reports: a document without scripts, tables and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 76rem; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; font-size: .85rem; }
th, td { padding: .2rem .5rem; text-align: right; border-bottom: 1px solid #8884; }
th:first-child, td:first-child { text-align: left; }
.scroll { overflow-x: auto; }
img { max-width: 100%; height: auto; background: #fff; }
"""


class Markup(str):
    """HTML that is not escaped again."""

    __slots__ = ()


def document(title: str, body: str, style: str = "") -> str:
    """A whole page; `body` is HTML, `style` is added to what all pages have."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
        f"<style>{_STYLE}{style}</style></head><body>\n{body}\n</body></html>\n"
    )


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table that scrolls where it is too wide; cells are text, or `Markup`."""
    head = "".join(f"<th>{escape(text)}</th>" for text in headings)
    body = "".join(
        f"<tr>{''.join(f'<td>{cell if isinstance(cell, Markup) else escape(cell)}</td>' for cell in row)}</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def picture(name: str) -> str:
    """A picture that lies beside the page."""
    return f'<p><img src="{escape(name)}" alt="{escape(name)}"></p>'
