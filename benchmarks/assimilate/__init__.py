"""Assimilation beside exact answers and filters that know the equations."""
