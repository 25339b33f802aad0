"""The feature network: a classifier of everyday sounds whose first layers serve the deep feature loss."""
