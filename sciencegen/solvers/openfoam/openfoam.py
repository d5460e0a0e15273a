"""
OpenFOAM, the reference for flow around any outlines, behind the :class:`~sciencegen.solvers.solver.Solver` contract.

Incompressible flow in the plane around one body or several: Gmsh meshes, simpleFoam or pimpleFoam solve, forceCoeffs
records the forces, and their history decides (:mod:`~sciencegen.solvers.openfoam.history`). Everything happens in a
temporary directory by plain files; programs run one at a time on one core, so that cases can run side by side.
Reference: "A tensorial approach to computational continuum mechanics using object-oriented techniques" (Weller, Tabor,
Jasak & Fureby, 1998), https://doi.org/10.1063/1.168744.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from sciencegen.solvers.mesh import Body, Mesh, bodies
from sciencegen.solvers.mesh import gmsh as meshing
from sciencegen.solvers.openfoam.fields import Grid
from sciencegen.solvers.openfoam.flow import Flow, Laminar
from sciencegen.solvers.openfoam.point import FlowPoint
from sciencegen.solvers.points import Request, Tried, collect, requests
from sciencegen.solvers.solver import SolverResult, Status

__all__ = ["OpenFOAM"]

INSTALL = "no program {}; install OpenFOAM (`apt install openfoam`) or put its programs on the path"


@dataclass(frozen=True)
class OpenFOAM:
    """
    Lift, drag and moment of bodies in a stream, at given angles or, by a search over angles, given lifts.

    `flow` says which equations (:class:`Laminar`, :class:`RANS`), `fineness` divides all edges of the mesh that `flow`
    proposes, `mesh` takes that mesh's place, `timeout` is the seconds given to one point, meshing included, and `grid`
    the points on which the flow itself is wanted (:class:`Grid`).
    """

    flow: Flow = Laminar()
    fineness: float = 1.0
    mesh: Mesh | None = None
    timeout: float = 900.0
    grid: Grid | None = None

    def __post_init__(self) -> None:
        if not self.fineness > 0 or not self.timeout > 0:
            raise ValueError(f"fineness and timeout must be positive; got {self.fineness} and {self.timeout}")

    def __call__(
        self,
        coordinates: ArrayLike | Sequence[ArrayLike],
        reynolds: ArrayLike,
        alpha: ArrayLike | None = None,
        cl: ArrayLike | None = None,
        start: ArrayLike | None = None,
    ) -> SolverResult:
        """
        Solve at the angles `alpha` (k,) in degrees or for the lift coefficients `cl` (k,) of all bodies together. Of
        steady flow (RANS) at one Reynolds number each angle starts from the flow at the one before: ask in order. A
        search for a lift begins at the angle `start` (k,) or, without, where a flat plate has it: give one below for a
        cambered airfoil near its largest lift, as the angles beyond have no steady flow.

        `coordinates` is one outline (n, 2) or a sequence of them, in reference lengths, on which `reynolds` () or (k,)
        and all coefficients are based; an airfoil alone has a chord of 1 along x, or is `unconverged`. Moments are
        about an airfoil's quarter chord, nose up positive (for others see :func:`~sciencegen.solvers.mesh.bodies`).

        `values` has, each (k,), or (k, bodies) for a sequence of outlines, and NaN where a point did not converge:
        `alpha` (degrees), `cl`, `cd`, `cm`, means over whole periods where the flow sheds, and `cl_amplitude`, half the
        lift's range; and each (k,): `strouhal`, the shedding frequency in units of speed over reference length, 0 in
        steady flow, `y_plus`, the largest on the walls (RANS only), `cells` and `steps`. `fields` has `history`
        (k, steps, 1 + 3 bodies): time or iteration, then drag, lift and moment of each body, padded with NaN. With a
        `grid` it has `u`, `v` (free-stream speeds) and `p` (density times speed squared), each (k, rows, columns), of
        the last moment, NaN inside the bodies and where a point did not converge, and the grid's axes `x` and `y`.

        The status is `converged` if every point is; outlines that cannot be meshed are `unconverged`. ValueError is
        raised for shapes and requests that nothing could satisfy.
        """
        begun = time.monotonic()
        several = np.ndim(coordinates[0]) == 2
        asked = requests(reynolds, alpha, cl)
        try:
            found = bodies(coordinates)
        except ValueError as error:
            attempts = [Tried(Status.UNCONVERGED, f"OpenFOAM was not run: {error}")] * len(asked)
            none = collect(attempts, asked, several, len(coordinates) if several else 1, begun)
            return self._with_fields(none, attempts)
        if missing := self._missing():
            attempts = [Tried(Status.MISSING, missing)] * len(asked)
        elif alpha is None:
            starts = [None] * len(asked) if start is None else np.broadcast_to(start, len(asked)).tolist()
            attempts = [self._at_lift(found, *search) for search in zip(asked, starts, strict=True)]
        else:
            runs = [list(run) for _, run in groupby(asked, lambda request: request.reynolds)]
            attempts = [attempt for run in runs for attempt in self._at_angles(found, run)]
        return self._with_fields(collect(attempts, asked, several, len(found), begun), attempts)

    def available(self) -> tuple[bool, str]:
        """Whether the programs run here, found by a few iterations around a coarse square, and if not why."""
        square = np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0], [0.0, 0.0]])
        quick = Laminar(start=5, stride=0.1, window=0.1, horizon=0.1)
        wide = {"near": 0.3, "wake": 1.0, "wake_size": 0.5, "radius": 5.0, "slope": 0.5}
        coarse = Mesh(wall=0.1, surface=0.2, corner=0.2, layer=0.1, **wide)
        cheap = replace(self, flow=quick, mesh=coarse, fineness=1.0, timeout=60.0, grid=None)
        result = cheap(square, 10.0, alpha=[0.0])
        ran = result.status in (Status.CONVERGED, Status.UNCONVERGED) and result.fields["history"].shape[1] > 0
        return (True, "OpenFOAM runs here") if ran else (False, result.log)

    def _with_fields(self, result: SolverResult, attempts: Sequence[Tried]) -> SolverResult:
        fields = {} if self.grid is None else self.grid.stacked([attempt.fields for attempt in attempts])
        return replace(result, fields={**result.fields, **fields})

    def _at_angles(self, found: Sequence[Body], asked: Sequence[Request]) -> list[Tried]:
        """Angles at one Reynolds number; steady flows lead from one to the next."""
        attempts: list[Tried] = []
        while left := [request.target for request in asked[len(attempts):]]:
            with tempfile.TemporaryDirectory(prefix="openfoam") as name:
                angles = left[:1] if self.flow.transient else left
                attempts += self._point(found, asked[0].reynolds).at_angles(Path(name), angles, self.timeout)
        return attempts

    def _at_lift(self, found: Sequence[Body], asked: Request, start: float | None) -> Tried:
        with tempfile.TemporaryDirectory(prefix="openfoam") as name:
            return self._point(found, asked.reynolds).at_lift(Path(name), asked.target, start)

    def _point(self, found: Sequence[Body], reynolds: float) -> FlowPoint:
        return FlowPoint(self.flow, found, reynolds, self._mesh(reynolds), time.monotonic() + self.timeout, self.grid)

    def _mesh(self, reynolds: float) -> Mesh:
        mesh = self.mesh or self.flow.mesh(reynolds)
        return mesh if self.fineness == 1 else mesh.refined(self.fineness)

    def _missing(self) -> str:
        programs = ("simpleFoam", "pimpleFoam") if self.flow.transient else ("simpleFoam",)
        absent = [name for name in programs if shutil.which(name) is None]
        lines = [INSTALL.format(", ".join(absent))] if absent else []
        return "; ".join(lines + ([] if meshing.program() else [meshing.INSTALL]))
