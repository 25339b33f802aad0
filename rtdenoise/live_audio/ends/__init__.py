"""Samples into and out of a running session that belong to no device."""
