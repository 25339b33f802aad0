"""What a spectral network computes: inputs, rings of past rows, layers after the stack, the head above 8 kHz."""
