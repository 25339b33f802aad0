"""Recognise clean recordings, and spare what is certainly speech in them."""
