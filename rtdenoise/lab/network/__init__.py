"""The network over whole signals, differentiable, as a Keras model."""
