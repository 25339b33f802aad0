"""What a method knows of the signal as it passes: whether somebody speaks, and the SNR in bands."""
