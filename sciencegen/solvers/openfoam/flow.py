r"""
What is solved: the incompressible Navier-Stokes equations, laminar, or averaged with the k-omega SST model.

Lengths are in reference lengths and speeds in units of the free stream, so that :math:`\nu = 1 / Re`. The k-omega SST
model is integrated to the wall. Its free stream carries :math:`k = 10^{-6}` and :math:`\omega = 5`, the levels that
keep boundary layers turbulent from near the nose without changing the flow outside: it is a fully turbulent flow, with
more drag than one that XFOIL lets start laminar.

References:
    Two-Equation Eddy-Viscosity Turbulence Models for Engineering Applications (Menter, 1994),
    https://doi.org/10.2514/3.12149. Effective Inflow Conditions for Turbulence Models in Aerodynamic Calculations
    (Spalart & Rumsey, 2007), https://doi.org/10.2514/1.29373.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from sciencegen.solvers.mesh import Mesh

__all__ = ["Flow", "Laminar", "RANS"]

K, OMEGA = 1e-6, 5.0
ZERO_K = 1e-14  # the solver divides by k
SMOOTH = {"solver": "smoothSolver", "smoother": "symGaussSeidel"}
MULTIGRID = {"solver": "GAMG", "smoother": "GaussSeidel"}
VISCOUS = {"div((nuEff*dev2(T(grad(U)))))": "Gauss linear"}


@dataclass(frozen=True)
class Laminar:
    """
    Laminar flow, followed in time until its forces are steady or shed periodically (low Reynolds numbers).

    A steady solver of at most `start` iterations gives the first state; a vortex put into the wake then shows whether
    that state is stable. Times are in reference lengths over free-stream speed: forces are looked at every `stride`,
    have to be at rest or periodic over `window`, and are given up after `horizon`. Time steps keep the Courant number
    below `courant`.
    """

    start: int = 300
    stride: float = 10.0
    window: float = 10.0
    horizon: float = 150.0
    courant: float = 4.0
    tolerance: float = 5e-3

    turbulent = False
    transient = True

    def mesh(self, reynolds: float) -> Mesh:
        """
        Layers through the boundary layer, whose thickness goes with Re^-1/2; made for Re 100 to 2000.

        The cells of a finer fan at a trailing edge are so narrow that momentum crosses several in a time step: forces
        then swing from one step to the next (a NACA 0012 at 10 degrees, cells of 4e-4 chords).
        """
        scale = min((1000 / reynolds) ** 0.5, 3.0)
        return Mesh(wall=0.006 * scale, layer=0.12 * scale, fan=0.35, surface=0.02, wake_size=0.04)


@dataclass(frozen=True)
class RANS:
    """
    Fully turbulent mean flow by the k-omega SST model, steady (airfoils at Re 1e5 to 1e7, short of stall).

    Iterates until no force moves by more than `tolerance` of the force (or, for the drag, of the drag itself) over
    `window` iterations, looks every `stride`, gives up after `horizon`; `y_plus` is meant for the first cell's centre.
    """

    stride: int = 200
    window: int = 100
    horizon: int = 3000
    y_plus: float = 1.0
    tolerance: float = 2e-3

    turbulent = True
    transient = False

    def mesh(self, reynolds: float) -> Mesh:
        """Walls for the wanted y+, from a friction velocity of 0.05; layers as thick as a turbulent boundary layer."""
        wall = 2 * self.y_plus / (0.05 * reynolds)
        off = Mesh(wall, near=0.02, wake=1.0, wake_size=0.015, wake_width=0.1, radius=100.0, slope=0.1)
        return replace(off, surface=0.015, corner=0.001, layer=0.05)


Flow = Laminar | RANS


def properties(flow: Flow, reynolds: float) -> dict[str, dict[str, Any]]:
    """The files of `constant` by path."""
    model = {"simulationType": "laminar"}
    if flow.turbulent:
        model = {"simulationType": "RAS", "RAS": {"RASModel": "kOmegaSST", "turbulence": "on", "printCoeffs": "off"}}
    transport = {"transportModel": "Newtonian", "nu": 1 / reynolds}
    return {"constant/transportProperties": transport, "constant/turbulenceProperties": model}


def steady() -> dict[str, dict[str, Any]]:
    """Schemes and solvers of simpleFoam, by path: second-order upwind, SIMPLE in its consistent form."""
    convection = {"default": "none", "div(phi,U)": "bounded Gauss linearUpwind grad(U)", **VISCOUS}
    convection |= {f"div(phi,{name})": "bounded Gauss limitedLinear 1" for name in ("k", "omega")}
    solvers = {"p": MULTIGRID | {"tolerance": 1e-9, "relTol": 0.05}}
    solvers |= {'"(U|k|omega)"': SMOOTH | {"tolerance": 1e-12, "relTol": 0.1}}
    control = {"consistent": "yes", "nNonOrthogonalCorrectors": 0, "residualControl": {"p": 1e-7, "U": 1e-7}}
    relaxation = {"equations": {"U": 0.9, '"(k|omega)"': 0.8}}
    solution = {"solvers": solvers, "SIMPLE": control, "relaxationFactors": relaxation}
    return {"system/fvSchemes": _schemes("steadyState", convection), "system/fvSolution": solution}


def transient() -> dict[str, dict[str, Any]]:
    """Schemes and solvers of pimpleFoam, by path: second order in time and space, one outer and two pressure steps."""
    convection = {"default": "none", "div(phi,U)": "Gauss linearUpwind grad(U)", **VISCOUS}
    pressure = MULTIGRID | {"tolerance": 1e-7, "relTol": 0.01}
    solvers = {"p": pressure, "pFinal": pressure}
    solvers |= {'"U.*"': SMOOTH | {"tolerance": 1e-8, "relTol": 0}}
    control = {"nOuterCorrectors": 1, "nCorrectors": 2, "nNonOrthogonalCorrectors": 0}
    solution = {"solvers": solvers, "PIMPLE": control}
    return {"system/fvSchemes": _schemes("backward", convection), "system/fvSolution": solution}


def _schemes(time: str, convection: dict[str, str]) -> dict[str, Any]:
    return {
        "ddtSchemes": {"default": time},
        "gradSchemes": {"default": "Gauss linear"},
        "divSchemes": convection,
        "laplacianSchemes": {"default": "Gauss linear corrected"},
        "interpolationSchemes": {"default": "linear"},
        "snGradSchemes": {"default": "corrected"},
        "wallDist": {"method": "meshWave"},
    }
