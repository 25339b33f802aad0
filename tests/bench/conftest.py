"""Rows of live audio need what tests of live audio need."""

from __future__ import annotations

from tests.live.conftest import compiled

__all__ = ["compiled"]
