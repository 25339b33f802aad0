"""Disk cache between runs, mostly for compiled code.  Losing it costs only time."""
