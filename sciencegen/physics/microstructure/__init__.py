"""Microstructures: families of two-phase images with known statistics, and what is measured of them.

Every image is periodic, ``phase (B, ny, nx)`` of 0 and 1 with axes y, x: rows first, as pictures are.
"""

from .connected import connected, percolates
from .descriptors import chords, fraction, lineal_path, orientation, style_of, two_point
from .discs import Discs
from .family import Family
from .grains import Grains
from .level_set import LevelSet
from .spinodal import Spinodal
from .style import Style

__all__ = [
    "FAMILIES", "Discs", "Family", "Grains", "LevelSet", "Spinodal", "Style", "chords", "connected", "fraction",
    "lineal_path", "orientation", "percolates", "style_of", "two_point",
]  # fmt: skip

FAMILIES = {"level-set": LevelSet(), "grains": Grains(), "discs": Discs(), "spinodal": Spinodal()}
