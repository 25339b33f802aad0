"""The audio callback: nopython code for PortAudio's thread, and its compilation and caching."""
