"""From a checkpoint to a model folder, a card and a model server."""
