"""Benchmarks: cost, tail, latency, memory and capacity of every method here, and regressions between records."""
