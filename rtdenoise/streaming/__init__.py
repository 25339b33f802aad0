"""The contract of a stream, overlap-add, and adapters for blocks, rates and channels."""
