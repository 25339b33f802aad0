"""Denoisers in the shape that other packages and frameworks expect, one module for each."""
