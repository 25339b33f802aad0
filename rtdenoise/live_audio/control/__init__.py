"""Control of a running session by other programs of the same user: JSON lines over a local socket."""
