"""Other people's programs behind one contract: named physical parts in, a :class:`SolverResult` out.

Nothing is imported before it is asked for: a worker that runs a program of a user's waits for no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .campaign import Judge, iterate_simulations, load_simulations, map_simulations
    from .isolated import Isolated
    from .openfoam import RANS, Laminar, OpenFOAM
    from .solver import Lost, Solver, SolverResult, Status
    from .su2 import SU2
    from .xfoil import XFOIL

__all__ = [
    "RANS", "SU2", "XFOIL", "Isolated", "Judge", "Laminar", "Lost", "OpenFOAM", "Solver", "SolverResult", "Status",
    "iterate_simulations", "load_simulations", "map_simulations",
]  # fmt: skip

_FILES = {
    "campaign": ("Judge", "iterate_simulations", "load_simulations", "map_simulations"),
    "isolated": ("Isolated",),
    "openfoam": ("RANS", "Laminar", "OpenFOAM"),
    "solver": ("Lost", "Solver", "SolverResult", "Status"),
    "su2": ("SU2",),
    "xfoil": ("XFOIL",),
}


def __getattr__(name: str) -> Any:
    for file, names in _FILES.items():
        if name in names:
            return getattr(import_module(f".{file}", __name__), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
