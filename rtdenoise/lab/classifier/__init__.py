"""The feature network: a classifier of everyday sounds whose first layers a loss listens with."""
