"""Inverse design with composed energy-based diffusion models: an energy for all you know, one sum, one sampler."""

__version__ = "0.1.0"
