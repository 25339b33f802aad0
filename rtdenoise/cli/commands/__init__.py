"""One module per command: its name is the command's, its object ``command`` a click command, its imports light."""
