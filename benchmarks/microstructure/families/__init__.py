"""Families of generative networks as rivals: a decoder of white noise each, one an example, on shared parts.

A decoder ``x = g(z), z ~ N(0, 1)`` is a problem with an exact prior, so that designing and inverting run through it
as they are. What it cannot do is be added to another prior of ``x``: it has no density.
"""
