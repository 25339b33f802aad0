"""The process that runs methods which are no compiled hop."""
