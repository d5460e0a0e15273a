"""Trained priors: energies that a network was fitted for, and their directories."""

from .base import Draw, Prior
from .diffusion import Denoiser, EnergyNet
from .model import Model, Recipe, zoo

__all__ = ["Denoiser", "Draw", "EnergyNet", "Model", "Prior", "Recipe", "zoo"]
