"""Runs that train a network: settings, optimiser, loop, checkpoints."""
