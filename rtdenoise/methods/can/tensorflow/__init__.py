"""One step of the network in TensorFlow."""
