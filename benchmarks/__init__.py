"""Commands that measure, and write the tables of the documents: `python -m benchmarks.NAME`."""
