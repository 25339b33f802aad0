"""Training material: recordings, mixtures and batches."""
