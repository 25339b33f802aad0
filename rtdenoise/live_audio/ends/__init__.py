"""Non-device inputs and outputs of a running session: files, pipes, recordings."""
