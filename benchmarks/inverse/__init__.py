"""Rows, tasks and scores of the table that `benchmarks/inverse.py` prints."""
