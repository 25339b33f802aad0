"""Training steps in PyTorch: the same networks, losses and checkpoints, faster where products are taken in 16 bits."""
