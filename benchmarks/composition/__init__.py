"""Rows and systems of the composition benchmark."""
