"""Sound in phone recordings and video, through PyAV."""
