"""Physics: one file per system, each ``solve(a) -> u`` and ``residual(a, u)``, discretised alike.

What is given (a source, a permeability, an initial state) and the solution are parts of a :class:`System`; both are
tensors, batched over leading axes, float32 or float64. A residual is flat, ``(*B, m)``, without units, and the norm of
a row is an rms over the domain: rounding for a solution, about 1 for ``u = 0``, and one weight means the same on every
grid. Fields are on the unit square with axes x, y in this order: coordinates ``(x, y)``, x along the first axis.
Systems whose numbers are known for another length (Kuramoto-Sivashinsky's 22) state their ``length``.

Nothing is imported before it is asked for: :data:`SYSTEMS` and :func:`resolve` cost no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .system import SYSTEMS, Part, Stored, System, resolve

if TYPE_CHECKING:
    from .advection_diffusion import AdvectionDiffusion
    from .bodies import Circle, Outline, ellipse, placed
    from .bounds import conductivity_bounds, modulus_bounds, wiener
    from .burgers import Burgers
    from .darcy import Channels, Darcy, Rock
    from .fields import GaussianField, binary, channels
    from .flow import Flow
    from .forces import pool, window_forces
    from .grids import Basis, Cosine, Fourier, Sine
    from .heat import Heat
    from .helmholtz import Helmholtz
    from .homogenise import conductivity, stiffness
    from .hot_spots import HotSpots
    from .kalman import LinearGaussian
    from .kolmogorov import Kolmogorov
    from .kuramoto_sivashinsky import KuramotoSivashinsky
    from .lorenz import Lorenz63, Lorenz96
    from .navier_stokes import NavierStokes
    from .nbody import NBody
    from .poisson import Poisson
    from .wells import LogWells, Wells

__all__ = [
    "SYSTEMS", "AdvectionDiffusion", "Basis", "Burgers", "Channels", "Circle", "Cosine", "Darcy", "Flow", "Fourier",
    "GaussianField", "Heat", "Helmholtz", "HotSpots", "Kolmogorov", "KuramotoSivashinsky", "LinearGaussian", "LogWells",
    "Lorenz63", "Lorenz96", "NBody", "NavierStokes", "Outline", "Part", "Poisson", "Rock", "Sine", "Stored", "System",
    "Wells", "binary", "channels", "conductivity", "conductivity_bounds", "ellipse", "modulus_bounds", "placed", "pool",
    "resolve", "stiffness", "wiener", "window_forces",
]  # fmt: skip

_FILES = {
    "advection_diffusion": ("AdvectionDiffusion",),
    "bodies": ("Circle", "Outline", "ellipse", "placed"),
    "bounds": ("conductivity_bounds", "modulus_bounds", "wiener"),
    "burgers": ("Burgers",),
    "darcy": ("Channels", "Darcy", "Rock"),
    "fields": ("GaussianField", "binary", "channels"),
    "flow": ("Flow",),
    "forces": ("pool", "window_forces"),
    "grids": ("Basis", "Cosine", "Fourier", "Sine"),
    "heat": ("Heat",),
    "helmholtz": ("Helmholtz",),
    "homogenise": ("conductivity", "stiffness"),
    "hot_spots": ("HotSpots",),
    "kalman": ("LinearGaussian",),
    "kolmogorov": ("Kolmogorov",),
    "kuramoto_sivashinsky": ("KuramotoSivashinsky",),
    "lorenz": ("Lorenz63", "Lorenz96"),
    "navier_stokes": ("NavierStokes",),
    "nbody": ("NBody",),
    "poisson": ("Poisson",),
    "wells": ("LogWells", "Wells"),
}


def __getattr__(name: str) -> Any:
    for file, names in _FILES.items():
        if name in names:
            return getattr(import_module(f".{file}", __name__), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
