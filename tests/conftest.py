"""Settings of the whole suite."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("suite", deadline=None, derandomize=True)  # the first example of each test may compile
settings.load_profile("suite")
