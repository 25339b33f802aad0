"""The engine process, for methods that do not run as a compiled hop."""
