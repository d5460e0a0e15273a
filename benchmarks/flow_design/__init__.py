"""Rows and scores of benchmarks/flow_design.py."""
