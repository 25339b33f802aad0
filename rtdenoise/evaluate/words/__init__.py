"""What denoising does to speech recognition: transcripts, recognisers, word errors."""
