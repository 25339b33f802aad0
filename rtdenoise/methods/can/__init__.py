"""CAN: causal, streaming context aggregation networks; heavy packages are imported at first use."""
