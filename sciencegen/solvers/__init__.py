"""Other people's programs behind one contract: named physical parts in, a :class:`SolverResult` out."""

from sciencegen.solvers.solver import Solver, SolverResult, Status, iterate_simulations, map_simulations
from sciencegen.solvers.xfoil import XFOIL

__all__ = ["XFOIL", "Solver", "SolverResult", "Status", "iterate_simulations", "map_simulations"]
