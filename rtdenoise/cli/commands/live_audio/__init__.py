"""Commands of live audio."""
