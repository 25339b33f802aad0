"""Numerical kernels: nopython functions on float32 arrays."""
