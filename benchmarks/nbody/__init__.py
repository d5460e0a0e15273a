"""Rows and scores of the nbody benchmark."""
