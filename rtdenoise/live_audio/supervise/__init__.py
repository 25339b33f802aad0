"""Watching a session's processes, and ending them."""
