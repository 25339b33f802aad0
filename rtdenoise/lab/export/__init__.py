"""Export a checkpoint to a model folder, with a card, or to a model server."""
