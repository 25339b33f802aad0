"""A demonstration that needs no file and no device: a clip of our own, noise, and the streaming path."""

from __future__ import annotations

from rtdenoise.demo.run import DemoReport, run_demo

__all__ = ["DemoReport", "run_demo"]
