"""Spectral networks with a fully compiled hop, from samples to samples."""
