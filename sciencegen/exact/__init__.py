"""Closed-form energies: the oracles, the baselines, and what a network is a correction to."""

from .conditional import Conditional
from .gaussian import Gaussian
from .mixture import Mixture

__all__ = ["Conditional", "Gaussian", "Mixture"]
