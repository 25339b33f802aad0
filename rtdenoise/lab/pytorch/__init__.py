"""Training steps in PyTorch: the same networks, losses and checkpoints, faster where products use 16 bits."""
