"""A sound card without hardware, for tests and benchmarks: JACK's dummy driver, a microphone and a speaker on it."""
