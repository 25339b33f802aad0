"""Streams, overlap-add framing, and adapters for blocks, rates and channels."""
