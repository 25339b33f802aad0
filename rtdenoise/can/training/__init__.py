"""Training of the network: sound collections, mixtures, losses, the loop and its checkpoints."""
