"""Evaluate the quality of denoisers: seeded mixtures, metrics, and other programs for comparison."""
