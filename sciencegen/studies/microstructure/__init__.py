"""Microstructures: designed, painted and found again from what was measured of them."""
