"""Spectral subtraction (SS) and Wiener filter (WF)."""
