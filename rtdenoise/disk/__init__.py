"""Files on disk: whole or not at all, their names, and what ships with the package."""
