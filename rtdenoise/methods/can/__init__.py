"""CAN: the context aggregation network, causal, as a stream; everything heavy is imported when first used."""
