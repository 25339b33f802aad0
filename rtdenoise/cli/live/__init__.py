"""Live audio on the command line."""
