"""A running session, controlled by other programs of its user: JSON lines over a local socket."""
