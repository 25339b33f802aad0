"""TensorFlow engine and step graph of the networks."""
