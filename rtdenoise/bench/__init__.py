"""What this machine runs live: cost, tail, latency, memory and capacity of every method, and what became slower."""
