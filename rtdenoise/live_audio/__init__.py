"""Live audio: microphone to speaker through a denoiser, watched, measured and recoverable."""
