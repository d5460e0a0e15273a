"""Whole studies: a layout, a trained prior, an objective and a referee put together, one module each."""
