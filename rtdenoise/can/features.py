"""Numbers that fix how spectra enter and leave the network; every form of it (Keras, TensorFlow, numpy) reads them here."""

from __future__ import annotations

POWER_FLOOR = 1e-7
"""Added to ``|X|**2`` before the logarithm: about -95 dB below a full-scale tone, under the noise of any microphone."""
LOG_OFFSET = 5.0
LOG_SCALE = 0.25
"""``(log(power) + LOG_OFFSET) * LOG_SCALE`` has roughly zero mean and unit spread over speech at usual levels."""
COMPRESSION = 0.3
"""Exponent of the magnitude where real and imaginary parts are read, the exponent of the training loss too."""
ROTATION_FLOOR = 1e-4
"""Keeps the direction of a rotation defined where both of its parts vanish."""
GAIN_START = 1.0
"""Bias of the gain's logit before training: an untrained network lets 73 % of the amplitude through."""
RESIDUAL_SCALE = 0.3
"""Share of each layer in a residual stack; twelve of them start within about twice the input's size."""
BATCHNORM_EPSILON = 1e-3
BATCHNORM_MOMENTUM = 0.99
