"""What is compared: our methods, peers, and other programs."""
