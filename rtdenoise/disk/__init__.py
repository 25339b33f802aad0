"""Files on disk: atomic writes, file names, YAML, and the data shipped with the package."""
