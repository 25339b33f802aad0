"""Processes of our own: how they start, are asked, are scheduled and end."""
