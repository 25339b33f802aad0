"""Numbers that fix how spectra enter and leave the network, for every form of it: Keras, TensorFlow, numpy.

Those of the step are exact in 16-bit floats, because the LiteRT file stores them so.
"""

from __future__ import annotations

POWER_FLOOR = 2.0**-23
"""Added to ``|X|**2`` before the logarithm: about -95 dB below a full-scale tone, under the noise of any microphone."""
LOG_OFFSET = 5.0
LOG_SCALE = 0.25
"""``(log(power) + LOG_OFFSET) * LOG_SCALE`` has roughly zero mean and unit spread over speech at usual levels."""
MEAN_STEP = 2.0**-5
"""Share of the newest frame in the running mean of the log power, per bin: a quarter of a second at 8 ms."""
FLOOR_STEP = 2.0**-7
FLOOR_EXPONENT = -0.25
"""The running mean of ``power**FLOOR_EXPONENT`` over about a second leans to quiet frames: it follows the noise, not
the voice.  A steeper exponent would hang on to single quiet frames, such as the first ones of a stream."""
FLOOR_SKIP_START = 0.5
"""Weight, before training, of a bin's height above its floor in its own gain: an untrained network is a noise gate."""
SHRINK = -0.35009765625
"""``power**SHRINK`` compresses the magnitude of real and imaginary parts to its power 0.3, as the training loss."""
ROTATION_FLOOR = 2.0**-13
"""Keeps the direction of a rotation defined where both of its parts vanish."""
GAIN_TINY = 2.0**-14
"""Keeps the ratio of a gain's floor to a gain that has vanished defined."""
GAIN_START = -1.0
"""Bias of the gain's logit before training."""
RESIDUAL_SCALE = 0.3
"""Share of each layer in a residual stack while it trains; inference has it folded into the weights."""
BATCHNORM_EPSILON = 1e-3
BATCHNORM_MOMENTUM = 0.99
