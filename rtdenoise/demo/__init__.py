"""A demonstration without files or devices: a bundled clip, synthetic noise, and the streaming path."""

from __future__ import annotations

from rtdenoise.demo.run import DemoReport, run_demo

__all__ = ["DemoReport", "run_demo"]
