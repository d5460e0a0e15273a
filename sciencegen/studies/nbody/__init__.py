"""Discs in a box: a prior of two bodies over 24 frames, composed to more bodies and longer times."""
