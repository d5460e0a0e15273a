"""
A case as OpenFOAM reads it: first fields, settings of a run, and the state in which a run goes on.

Incidence turns the free stream, not the bodies, so one mesh serves all angles.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sciencegen.solvers.mesh import Body
from sciencegen.solvers.mesh.gmsh import FAR, boundary_names
from sciencegen.solvers.openfoam.dictionary import dictionary, vector
from sciencegen.solvers.openfoam.flow import OMEGA, ZERO_K, Flow, K, properties, steady, transient
from sciencegen.solvers.openfoam.polymesh import SIDES, SPAN

__all__ = ["STEADY", "TRANSIENT", "Case", "cell_vectors", "with_vectors"]

STEADY, TRANSIENT = "simpleFoam", "pimpleFoam"

WALL = '"body.*"'
SIZES = {"U": "[0 1 -1 0 0 0 0]", "p": "[0 2 -2 0 0 0 0]", "k": "[0 2 -2 0 0 0 0]"}
SIZES |= {"omega": "[0 0 -1 0 0 0 0]", "nut": "[0 2 -1 0 0 0 0]"}
LIST = re.compile(r"(internalField\s+nonuniform\s+List<vector>\s*\d+\s*\(\n)(.*?)(\n\)\s*;)", re.DOTALL)


@dataclass(frozen=True, eq=False)
class Case:
    """The flow around `bodies` at one Reynolds number and one angle `alpha` (degrees)."""

    flow: Flow
    bodies: Sequence[Body]
    reynolds: float
    alpha: float

    def first(self) -> dict[str, str]:
        """The uniform first fields and the constants, by path."""
        constants = properties(self.flow, self.reynolds)
        fields = {f"0/{name}": self._field(name, *parts) for name, parts in self._fields().items()}
        return fields | {path: dictionary(path, content) for path, content in constants.items()}

    def run(self, program: str, until: float, step: float, every: float) -> dict[str, str]:
        """The files of `system` for a run of `program` up to the time or iteration `until`, in steps of `step`."""
        files = {"system/controlDict": self._control(program, until, step, every)}
        files |= transient() if program == TRANSIENT else steady()
        return {path: dictionary(path, content) for path, content in files.items()}

    def turned(self, velocity: str) -> str:
        """The velocity field `velocity`, a file's text, with this case's free stream at its far boundary."""
        return re.sub(r"(freestreamValue\s+uniform\s*)\([^)]*\)", rf"\g<1>{_text(self._stream())}", velocity)

    def _stream(self) -> tuple[float, float, float]:
        angle = np.deg2rad(self.alpha)
        return vector(np.cos(angle), np.sin(angle))

    def _fields(self) -> dict[str, tuple[str, dict[str, Any], dict[str, Any]]]:
        """Of each field the uniform value, and what holds at the far boundary and on the walls."""
        stream = _text(self._stream())
        flow = {
            "U": (stream, {"type": "freestreamVelocity", "freestreamValue": f"uniform {stream}"}, {"type": "noSlip"}),
            "p": ("0", {"type": "freestreamPressure", "freestreamValue": "uniform 0"}, {"type": "zeroGradient"}),
        }
        if not self.flow.turbulent:
            return flow
        return flow | {
            "k": (f"{K:g}", _inflow(K), {"type": "fixedValue", "value": f"uniform {ZERO_K:g}"}),
            "omega": (f"{OMEGA:g}", _inflow(OMEGA), {"type": "omegaWallFunction", "value": f"uniform {OMEGA:g}"}),
            "nut": (f"{K / OMEGA:g}", {"type": "calculated", "value": f"uniform {K / OMEGA:g}"}, _no_eddies()),
        }

    def _field(self, name: str, value: str, far: dict[str, Any], wall: dict[str, Any]) -> str:
        boundary = {FAR: far, WALL: wall, SIDES: {"type": "empty"}}
        content = {"dimensions": SIZES[name], "internalField": f"uniform {value}", "boundaryField": boundary}
        return dictionary(f"0/{name}", content, "volVectorField" if name == "U" else "volScalarField")

    def _control(self, program: str, until: float, step: float, every: float) -> dict[str, Any]:
        functions = {name: self._forces(name, body) for name, body in zip(self.names, self.bodies, strict=True)}
        if self.flow.turbulent:
            functions["yplus"] = {"type": "yPlus", "libs": "(fieldFunctionObjects)", "writeControl": "writeTime"}
        pace = {"deltaT": step, "writeControl": "timeStep", "writeInterval": max(round(every / step), 1)}
        if program == TRANSIENT:
            pace = {"deltaT": step, "writeControl": "adjustableRunTime", "writeInterval": every, "maxDeltaT": 0.02}
            pace |= {"adjustTimeStep": True, "maxCo": self.flow.courant}
        span = {"startFrom": "latestTime", "startTime": 0, "stopAt": "endTime", "endTime": until}
        form = {"purgeWrite": 2, "writeFormat": "ascii", "writePrecision": 10, "timePrecision": 10}
        return {"application": program, **span, **pace, **form, "functions": functions}

    @property
    def names(self) -> list[str]:
        """The names of the bodies' boundaries, and of what records their forces."""
        return boundary_names(len(self.bodies))

    def _forces(self, name: str, body: Body) -> dict[str, Any]:
        x, y, _ = self._stream()
        density = {"rho": "rhoInf", "rhoInf": 1, "magUInf": 1, "lRef": 1, "Aref": SPAN}
        frame = {"liftDir": vector(-y, x), "dragDir": vector(x, y), "CofR": vector(*body.moment_centre)}
        frame |= {"pitchAxis": "(0 0 -1)"}  # nose up; openfoam.org's asks for it, openfoam.com's takes lift x drag
        often = {"writeControl": "timeStep", "writeInterval": 1}
        return {"type": "forceCoeffs", "libs": "(forces)", "patches": f"({name})", **density, **frame, **often}


def cell_vectors(text: str) -> np.ndarray:
    """The vectors (cells, 3) of a field file; ValueError where it holds one vector for all cells."""
    found = LIST.search(text)
    if found is None:
        raise ValueError("got a vector field without a list of vectors; expected one vector for each cell")
    return np.array(found[2].replace("(", "").replace(")", "").split(), dtype=float).reshape(-1, 3)


def with_vectors(text: str, vectors: np.ndarray) -> str:
    """The field file `text` with the cells' vectors replaced."""
    lines = "\n".join(f"({x:.10g} {y:.10g} {z:.10g})" for x, y, z in vectors.tolist())
    return LIST.sub(lambda found: found[1] + lines + found[3], text)


def _inflow(value: float) -> dict[str, str]:
    return {"type": "inletOutlet", "inletValue": f"uniform {value:g}", "value": f"uniform {value:g}"}


def _no_eddies() -> dict[str, str]:
    # zero as "calculated" would be, but omega's wall condition asks for a wall condition of nut beside it
    return {"type": "nutLowReWallFunction", "value": "uniform 0"}


def _text(parts: tuple[float, float, float]) -> str:
    return f"({' '.join(f'{part:.12g}' for part in parts)})"
