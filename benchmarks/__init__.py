"""Every figure in the README is the output of a command here: `benchmarks.tutorial`, `.latency`, `.tables`."""
