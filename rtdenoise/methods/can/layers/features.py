"""Constants of the input features and output masks of networks, shared by Keras, TensorFlow and compiled code.

Those used in a step are exact in 16-bit floats, the format of the LiteRT file.
"""

from __future__ import annotations

POWER_FLOOR = 2.0**-23
"""Added to ``|X|**2`` before the logarithm: about -95 dB below a full-scale tone, under the noise of any microphone."""
LOG_OFFSET = 5.0
LOG_SCALE = 0.25
"""``(log(power) + LOG_OFFSET) * LOG_SCALE`` has roughly zero mean and unit spread over speech at usual levels."""
MEAN_STEP = 2.0**-5
"""Weight of the newest frame in the running mean of the log power, per bin: 0.25 s at a hop of 8 ms."""
FLOOR_STEP = 2.0**-7
FLOOR_EXPONENT = -0.25
"""The running mean of ``power**FLOOR_EXPONENT`` over about a second is dominated by quiet frames: it tracks the noise,
not the voice.  A steeper exponent would be dominated by single quiet frames, such as the first ones of a stream."""
FLOOR_SKIP_START = 0.5
"""Initial weight of the height of a bin above its floor in its gain: an untrained network is a noise gate."""
SHRINK = -0.35009765625
"""``power**SHRINK`` compresses the magnitude of the complex spectrum to the power 0.3, as in the training loss."""
ROTATION_FLOOR = 2.0**-13
"""Keeps the direction of a rotation defined where both components vanish."""
GAIN_TINY = 2.0**-14
"""Keeps the ratio of gain floor to gain defined where the gain vanishes."""
GAIN_START = -1.0
"""Initial bias of the gain logit."""
RESIDUAL_SCALE = 0.3
"""Scale of each layer in a residual stack during training; folded into the weights for inference."""
BATCHNORM_EPSILON = 1e-3
BATCHNORM_MOMENTUM = 0.99
