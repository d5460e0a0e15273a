"""Linear maps that keep their structure, functions as linear maps, and systems of equations with them."""

from .functions import Linear, affine, linearised
from .gram import Whitening
from .maps import Dense, Local, Map, Select, Sparse
from .solve import conjugate_gradients

__all__ = ["Dense", "Linear", "Local", "Map", "Select", "Sparse", "Whitening", "affine", "conjugate_gradients",
           "linearised"]
