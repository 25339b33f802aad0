"""Reports on a terminal: no line longer than it is wide, and every cell there."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from rtdenoise.cli.tables import draw, print_report
from rtdenoise.evaluate.report.tables import markdown_table

HEADINGS = [f"heading {i}" for i in range(18)]
ROWS = [["CAN:can-live+can.engine=litert", *(f"{i}.25" for i in range(17))], ["WF", *["-"] * 17]]
REPORT = f"## Title\n\nA sentence.\n\n{markdown_table(HEADINGS, ROWS)}\n"


@pytest.mark.parametrize("width", [40, 80, 200, 400])
def test_tables_fit(width):
    out = io.StringIO()
    draw(Console(file=out, width=width), REPORT)
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    for i in range(17):
        assert out.getvalue().count(f" {i}.25 ") == 1


def test_a_pipe_gets_markdown(capsys):
    print_report(REPORT, as_markdown=False)
    assert capsys.readouterr().out == f"{REPORT}\n"
