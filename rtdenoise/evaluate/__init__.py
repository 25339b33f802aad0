"""Measuring how good a denoiser sounds: seeded mixtures, metrics, and other programs to compare with."""
