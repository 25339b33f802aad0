"""The systems compared: our methods, peers, and other programs."""
