"""Real Fourier transforms inside nopython code."""
