"""Pure nopython functions on float32 arrays."""
