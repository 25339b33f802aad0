"""Denoisers in the shape that other frameworks expect: one module for each, imported by whoever uses it."""
