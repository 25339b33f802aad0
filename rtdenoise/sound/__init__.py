"""Read and write audio files in any supported container."""
