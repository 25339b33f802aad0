"""Reports as tables a terminal can show; as the Markdown they are made of where a program or a file reads them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rtdenoise.cli.console import stdout_console

_PADDING = 3  # blanks that a column costs beside its text
_RULES = 2  # blanks that a table costs at its sides


def print_report(markdown: str, *, as_markdown: bool) -> None:
    """Print our own Markdown: headings, paragraphs, lists and tables.

    Parameters
    ----------
    markdown : str
    as_markdown : bool
        Print it as it is, also on a terminal.
    """
    console = stdout_console()
    if as_markdown or not console.is_terminal:
        click.echo(markdown)
    else:
        draw(console, markdown)


def draw(console: Console, markdown: str) -> None:
    """Draw a report; tables that are wider than the console become several, each with the first column."""
    for block in markdown.strip().split("\n\n"):
        if block.startswith("|"):
            rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in block.splitlines()]
            for columns in _parts(rows[:1] + rows[2:], console.width):
                console.print(_table(rows, columns))
        elif block.startswith("#"):
            console.print(Text(block.lstrip("# "), style="bold"))
        else:
            console.print(Text(block))
            console.print()


def _parts(rows: Sequence[Sequence[str]], width: int) -> Iterator[list[int]]:
    """Numbers of the columns that stand side by side."""
    widths = [_PADDING + max(cell_len(row[i]) for row in rows if i < len(row)) for i in range(len(rows[0]))]
    chosen, used = [0], _RULES + widths[0]
    for i in range(1, len(widths)):
        if len(chosen) > 1 and used + widths[i] > width:
            yield chosen
            chosen, used = [0], _RULES + widths[0]
        chosen.append(i)
        used += widths[i]
    yield chosen


def _table(rows: Sequence[Sequence[str]], columns: Sequence[int]) -> Table:
    table = Table(box=SIMPLE_HEAD)
    for i in columns:
        table.add_column(Text(rows[0][i]), justify="right" if i else "left", overflow="fold")
    for row in rows[2:]:
        table.add_row(*(Text(row[i]) if i < len(row) else Text() for i in columns))
    return table
