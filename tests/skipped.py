"""Note what is skipped, to run it where more is installed: ``pytest --skipped-to FILE``, there ``pytest @FILE``."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """The file is added to: each of several processes writes what it skips, so a module may be there twice."""
    parser.addoption("--skipped-to", type=Path, help="append the names of tests and modules that are skipped to a file")


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Note a module that is skipped as a whole."""
    report = yield
    if report.skipped:
        _note_skipped(collector)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note a test that is skipped."""
    report = yield
    if report.skipped:
        _note_skipped(item)
    return report


def _note_skipped(node: pytest.Item | pytest.Collector) -> None:
    file = node.config.getoption("skipped_to")
    if file is not None:
        with file.open("a", encoding="utf-8") as lines:
            lines.write(f"{node.nodeid}\n")
