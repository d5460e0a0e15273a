"""Airfoils: shapes as 18 numbers, coordinate files, and aerodynamics as a differentiable torch function.

Coordinates are read (:func:`read_dat`, :mod:`uiuc`), fitted to a shape (:func:`fit`), measured (:mod:`cst`) and put in
a flow (:class:`NeuralFoil`, :func:`drag_at_lift`). Lengths are in chords, angles in degrees.
"""

from sciencegen.airfoil import cst, uiuc
from sciencegen.airfoil.aero import Aero, Counted, NeuralFoil
from sciencegen.airfoil.chordline import Chord, chord
from sciencegen.airfoil.dat import read_dat, write_dat
from sciencegen.airfoil.fitting import Fit, fit, normalize
from sciencegen.airfoil.outline import selig
from sciencegen.airfoil.trim import Search, Trim, drag_at_lift, solve_alpha

__all__ = [
    "Aero",
    "Chord",
    "Counted",
    "Fit",
    "NeuralFoil",
    "Search",
    "Trim",
    "chord",
    "cst",
    "drag_at_lift",
    "fit",
    "normalize",
    "read_dat",
    "selig",
    "solve_alpha",
    "uiuc",
    "write_dat",
]
