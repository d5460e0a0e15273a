"""Other people's programs behind one contract: named physical parts in, a :class:`SolverResult` out."""

from sciencegen.solvers.campaign import Judge, iterate_simulations, load_simulations, map_simulations
from sciencegen.solvers.isolated import Isolated
from sciencegen.solvers.openfoam import RANS, Laminar, OpenFOAM
from sciencegen.solvers.solver import Lost, Solver, SolverResult, Status
from sciencegen.solvers.su2 import SU2
from sciencegen.solvers.xfoil import XFOIL

__all__ = [
    "RANS", "SU2", "XFOIL", "Isolated", "Judge", "Laminar", "Lost", "OpenFOAM", "Solver", "SolverResult", "Status",
    "iterate_simulations", "load_simulations", "map_simulations",
]  # fmt: skip
