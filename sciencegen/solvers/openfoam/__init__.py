"""OpenFOAM behind the solver contract: laminar and k-omega SST flow in the plane around any outlines."""

from sciencegen.solvers.openfoam.fields import Grid
from sciencegen.solvers.openfoam.flow import RANS, Laminar
from sciencegen.solvers.openfoam.openfoam import OpenFOAM

__all__ = ["RANS", "Grid", "Laminar", "OpenFOAM"]
