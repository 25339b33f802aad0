"""What is worth keeping on disk between runs: compiled code above all.  Losing it costs time, nothing else."""
