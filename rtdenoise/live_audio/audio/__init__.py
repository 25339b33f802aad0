"""The audio process, which owns the sound devices."""
