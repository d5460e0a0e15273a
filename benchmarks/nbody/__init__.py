"""Rows and scores of benchmarks/nbody.py."""
