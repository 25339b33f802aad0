"""The microphone that starts with the session: what is installed for it on each system, and taken back."""
