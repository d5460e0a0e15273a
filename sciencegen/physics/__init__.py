"""Physics: one file per system, each ``solve(a) -> u`` and ``residual(a, u)``, discretised alike.

Part ``a`` is what is given (a source, a permeability, an initial state), part ``u`` the solution; both are tensors,
batched over leading axes, float32 or float64. A residual is flat, ``(*B, m)``, without units, and the norm of a row is
an rms over the domain: rounding for a solution, about 1 for ``u = 0``, and one weight means the same on every grid.
"""

from .bodies import Circle, Outline, ellipse, placed
from .burgers import Burgers
from .darcy import Darcy, Wells
from .fields import GaussianField, binary, channels
from .flow import Flow
from .forces import pool, window_forces
from .grids import Basis, Cosine, Fourier, Sine
from .heat import Heat
from .helmholtz import Helmholtz
from .navier_stokes import NavierStokes
from .nbody import NBody
from .poisson import Poisson

__all__ = [
    "Basis",
    "Burgers",
    "Circle",
    "Cosine",
    "Darcy",
    "Flow",
    "Fourier",
    "GaussianField",
    "Heat",
    "Helmholtz",
    "NBody",
    "NavierStokes",
    "Outline",
    "Poisson",
    "Sine",
    "Wells",
    "binary",
    "channels",
    "ellipse",
    "placed",
    "pool",
    "window_forces",
]
