"""
SU2, a vertex-centred flow solver, behind the :class:`~sciencegen.solvers.solver.Solver` contract.

Steady incompressible flow in the plane, laminar or with the k-omega SST model, on the same meshes and judged by the
same rule as OpenFOAM's: a configuration and a mesh are written, `SU2_CFD` runs, its history of forces decides. SU2's
moments are right-handed about z, so that nose up is their negative. Versions 7 and 8 are meant; none was at hand, so
that reading and writing are tested on files in their documented formats, not against the program. References: "SU2: An
Open-Source Suite for Multiphysics Simulation and Design" (Economon et al., 2016), https://doi.org/10.2514/1.J053813;
file formats: https://su2code.github.io/docs_v7/Mesh-File/ and https://su2code.github.io/docs_v7/Custom-Output/.
"""

from __future__ import annotations

import csv
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from sciencegen.solvers.history import History
from sciencegen.solvers.mesh import Body, Mesh, PlaneMesh, bodies
from sciencegen.solvers.mesh.gmsh import FAR, boundary_names
from sciencegen.solvers.mesh.gmsh import INSTALL as INSTALL_GMSH
from sciencegen.solvers.mesh.gmsh import program as gmsh
from sciencegen.solvers.points import Tried, coefficients, collect, requests
from sciencegen.solvers.process import Finished, run
from sciencegen.solvers.solver import SolverResult, Status

__all__ = ["SU2", "configuration", "mesh_text", "read_history"]

INSTALL = "no program {!r}; install SU2 (https://su2code.github.io/download.html) or pass program='/path/to/SU2_CFD'"
CONFIGURATION, MESH, HISTORY = "case.cfg", "mesh.su2", "history.csv"
LINE, TRIANGLE, QUAD = 3, 5, 9  # VTK's numbers


@dataclass(frozen=True)
class SU2:
    """
    Lift, drag and moment of bodies in a steady stream at given angles.

    `mesh` has the sizes (a good start: `Laminar().mesh(re)` or `RANS().mesh(re)` of the OpenFOAM coupling), `turbulent`
    turns the k-omega SST model on. The forces have to stay within `tolerance` over the last `window` of at most
    `iterations`; `timeout` is in seconds for one point.
    """

    mesh: Mesh
    turbulent: bool = False
    iterations: int = 5000
    window: int = 200
    tolerance: float = 2e-3
    timeout: float = 1800.0
    program: str = "SU2_CFD"

    def __call__(
        self, coordinates: ArrayLike | Sequence[ArrayLike], reynolds: ArrayLike, alpha: ArrayLike
    ) -> SolverResult:
        """
        As :class:`~sciencegen.solvers.openfoam.OpenFOAM` is called, for angles `alpha` (k,) in degrees.

        `values` and `fields` are the same; `strouhal` is 0 and `y_plus` NaN.
        """
        start, asked = time.monotonic(), requests(reynolds, alpha, None)
        several = np.ndim(coordinates[0]) == 2
        count = len(coordinates) if several else 1
        missing = [] if shutil.which(self.program) else [INSTALL.format(self.program)]
        missing += [] if gmsh() else [INSTALL_GMSH]
        try:
            found = bodies(coordinates)
        except ValueError as error:
            attempts = [Tried(Status.UNCONVERGED, f"SU2 was not run: {error}")] * len(asked)
        else:
            lost = Tried(Status.MISSING, "; ".join(missing))
            attempts = [lost if missing else self._solve(found, each.reynolds, each.target) for each in asked]
        return collect(attempts, asked, several, count, start)

    def _solve(self, found: Sequence[Body], reynolds: float, alpha: float) -> Tried:
        deadline = time.monotonic() + self.timeout
        with tempfile.TemporaryDirectory(prefix="su2") as name:
            folder = Path(name)
            try:
                mesh = self.mesh.make(found, folder, self.timeout, alpha)
            except TimeoutError as error:
                return Tried(Status.TIMEOUT, str(error))
            except ValueError as error:
                return Tried(Status.UNCONVERGED, str(error))
            (folder / MESH).write_text(mesh_text(mesh))
            settings = configuration(found, reynolds, alpha, self.turbulent, self.iterations)
            (folder / CONFIGURATION).write_text(settings)
            program = str(Path(shutil.which(self.program) or self.program).absolute())
            finished = run([program, CONFIGURATION], "", folder, max(deadline - time.monotonic(), 0.1))
            text = (folder / HISTORY).read_text(errors="replace") if (folder / HISTORY).is_file() else ""
        return self._attempt(finished, read_history(text, len(found)), alpha, len(mesh))

    def _attempt(self, finished: Finished, history: History, alpha: float, cells: int) -> Tried:
        """What a run's end and its history come to."""
        rows = np.column_stack([history.time, history.forces])
        tail = f"its last words: ...{finished.output[-400:]}"
        if finished.returncode is None:
            return Tried(Status.TIMEOUT, f"SU2 was stopped at the time limit; {tail}", history=rows)
        if finished.returncode:
            return Tried(Status.CRASHED, f"SU2 ended with return code {finished.returncode}; {tail}", history=rows)
        if not len(rows):
            return Tried(Status.CRASHED, f"SU2 wrote no history of forces; {tail}")
        verdict = history.judge(self.window, self.tolerance, unsteady=False)
        if not verdict.settled:
            return Tried(Status.UNCONVERGED, verdict.reason, history=rows)
        values = coefficients(verdict) | {"alpha": alpha, "cells": cells, "steps": len(rows)}
        return Tried(Status.CONVERGED, verdict.reason, values, rows)


def configuration(found: Sequence[Body], reynolds: float, alpha: float, turbulent: bool, iterations: int) -> str:
    """SU2's settings for a stream of speed and density 1 at `alpha` degrees, so that the viscosity is 1 / reynolds."""
    x, y = np.cos(np.deg2rad(alpha)), np.sin(np.deg2rad(alpha))
    names = ", ".join(boundary_names(len(found)))
    centre = found[0].moment_centre if len(found) == 1 else np.zeros(2)
    options = {
        "SOLVER": "INC_RANS" if turbulent else "INC_NAVIER_STOKES",
        "KIND_TURB_MODEL": "SST" if turbulent else "NONE",
        "INC_DENSITY_MODEL": "CONSTANT",
        "INC_ENERGY_EQUATION": "NO",
        "INC_DENSITY_INIT": "1.0",
        "INC_VELOCITY_INIT": f"( {x:.12g}, {y:.12g}, 0.0 )",
        "INC_NONDIM": "DIMENSIONAL",
        "VISCOSITY_MODEL": "CONSTANT_VISCOSITY",
        "MU_CONSTANT": f"{1 / reynolds:.12g}",
        "REF_LENGTH": "1.0",
        "REF_AREA": "1.0",
        "REF_ORIGIN_MOMENT_X": f"{centre[0]:.12g}",
        "REF_ORIGIN_MOMENT_Y": f"{centre[1]:.12g}",
        "REF_ORIGIN_MOMENT_Z": "0.0",
        "MARKER_HEATFLUX": f"( {', '.join(f'{name}, 0.0' for name in boundary_names(len(found)))} )",
        "MARKER_FAR": f"( {FAR} )",
        "MARKER_PLOTTING": f"( {names} )",
        "MARKER_MONITORING": f"( {names} )",
        "NUM_METHOD_GRAD": "WEIGHTED_LEAST_SQUARES",
        "CONV_NUM_METHOD_FLOW": "FDS",
        "MUSCL_FLOW": "YES",
        "SLOPE_LIMITER_FLOW": "NONE",
        "TIME_DISCRE_FLOW": "EULER_IMPLICIT",
        "CFL_NUMBER": "20.0",
        "ITER": str(iterations),
        "CONV_FIELD": "RMS_PRESSURE",
        "CONV_RESIDUAL_MINVAL": "-12",
        "MESH_FILENAME": MESH,
        "MESH_FORMAT": "SU2",
        "TABULAR_FORMAT": "CSV",
        "CONV_FILENAME": Path(HISTORY).stem,
        "HISTORY_OUTPUT": "( ITER, RMS_RES, AERO_COEFF, AERO_COEFF_SURF )",
        "OUTPUT_FILES": "( RESTART_ASCII )",
    }
    return "".join(f"{name}= {value}\n" for name, value in options.items())


def mesh_text(mesh: PlaneMesh) -> str:
    """The mesh in SU2's own format: cells, points and one marker for each boundary, numbered from 0."""
    lines = ["NDIME= 2", f"NELEM= {len(mesh)}"]
    cells = [(TRIANGLE, cell) for cell in mesh.triangles.tolist()] + [(QUAD, cell) for cell in mesh.quads.tolist()]
    lines += [f"{kind} {' '.join(map(str, cell))} {number}" for number, (kind, cell) in enumerate(cells)]
    lines.append(f"NPOIN= {len(mesh.points)}")
    lines += [f"{x!r} {y!r} {number}" for number, (x, y) in enumerate(mesh.points.tolist())]
    lines.append(f"NMARK= {len(mesh.boundary)}")
    for name, edges in mesh.boundary.items():
        lines += [f"MARKER_TAG= {name}", f"MARKER_ELEMS= {len(edges)}"]
        lines += [f"{LINE} {a} {b}" for a, b in edges.tolist()]
    return "\n".join([*lines, ""])


def read_history(text: str, count: int) -> History:
    """
    The forces of `count` bodies over the iterations in `text`, SU2's history file; empty where it has none.

    Columns "CD(body0)" and so on are found by name; with one body the totals "CD", "CL", "CMz" do as well.
    """
    rows = list(csv.reader(text.splitlines(), skipinitialspace=True))
    head = [word.strip().strip('"') for word in rows[0]] if rows else []
    wanted = [[f"{name}({body})" for name in ("CD", "CL", "CMz")] for body in boundary_names(count)]
    if count == 1 and wanted[0][0] not in head:
        wanted = [["CD", "CL", "CMz"]]
    names = ["Inner_Iter", *(name for body in wanted for name in body)]
    if not set(names) <= set(head):
        return History(np.empty(0), np.empty((0, 3 * count)))
    columns = [head.index(name) for name in names]
    whole = [[float(row[i]) for i in columns] for row in rows[1:] if len(row) == len(head)]
    table = np.array(whole, dtype=float).reshape(-1, len(columns))
    forces = table[:, 1:] * np.tile([1.0, 1.0, -1.0], count)
    return History(table[:, 0], forces)
