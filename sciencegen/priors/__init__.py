"""Trained priors: energies that a network was fitted for, and their directories."""

from . import adapt
from .base import Draw, Prior
from .diffusion import Denoiser, EnergyNet
from .likelihood import log_likelihood
from .model import Model, Recipe, zoo
from .stepper import Stepper

__all__ = ["Denoiser", "Draw", "EnergyNet", "Model", "Prior", "Recipe", "Stepper", "adapt", "log_likelihood", "zoo"]
