"""Sound in files: reading and writing it, whatever the container."""
