"""Spectral networks as one compiled hop: samples in, samples out, nothing of Python between."""
