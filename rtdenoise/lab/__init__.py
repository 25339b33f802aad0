"""What researchers run: training and export of networks.  Nothing that a listener runs imports it."""
