"""Rows and systems of benchmarks/composition.py."""
