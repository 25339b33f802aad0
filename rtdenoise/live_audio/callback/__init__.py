"""What runs in PortAudio's thread: nopython code, and how it is compiled and kept."""
