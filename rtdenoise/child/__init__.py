"""Child processes: start, communication, scheduling and termination."""
