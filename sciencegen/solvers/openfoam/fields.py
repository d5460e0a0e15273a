r"""
Velocity and pressure of a finished case on a regular grid, for pictures, training data and comparisons.

Values live at the cells' centres. A triangulation of these and of the walls' midpoints, where the velocity is zero and
the pressure that of the cell beside, carries a linear interpolation; points inside a body and outside the mesh are NaN.
Done here rather than by OpenFOAM's own probes, which leave out the points inside bodies without a word.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import LinearNDInterpolator

from sciencegen.solvers.mesh import Body, PlaneMesh
from sciencegen.solvers.mesh.gmsh import FAR
from sciencegen.solvers.mesh.outlines import inside
from sciencegen.solvers.openfoam.case import cell_vectors

__all__ = ["Grid", "cell_numbers"]

NAMES = ("u", "v", "p")
NUMBERS = re.compile(r"internalField\s+nonuniform\s+List<scalar>\s*\d+\s*\(\n(.*?)\n\)\s*;", re.DOTALL)


@dataclass(frozen=True)
class Grid:
    """
    The centres of `shape` = (rows, columns) equal cells of the box from `low` to `high`, each (x, y); rows go up.

    ValueError for a box or a shape without extent.
    """

    low: tuple[float, float] = (-0.5, -1.0)
    high: tuple[float, float] = (1.5, 1.0)
    shape: tuple[int, int] = (64, 64)

    def __post_init__(self) -> None:
        if not np.all(np.less(self.low, self.high)) or min(self.shape) < 1:
            raise ValueError(f"got a grid from {self.low} to {self.high} of {self.shape} points; expected low < high "
                             "and at least one row and column")

    def axes(self) -> tuple[np.ndarray, np.ndarray]:
        """The x of the columns and the y of the rows."""
        ends = zip(self.low, self.high, self.shape[::-1], strict=True)
        x, y = (a + (b - a) * (np.arange(n) + 0.5) / n for a, b, n in ends)
        return x, y

    def sample(self, mesh: PlaneMesh, bodies: Sequence[Body], velocity: str, pressure: str) -> dict[str, np.ndarray]:
        """`u`, `v` and `p` (rows, columns) of the field files `velocity` and `pressure`; NaN inside the bodies."""
        cells = np.column_stack([cell_vectors(velocity)[:, :2], cell_numbers(pressure)])
        middles, beside = _walls(mesh)
        walls = np.column_stack([np.zeros((len(beside), 2)), cells[beside, 2]])
        known = LinearNDInterpolator(np.vstack([mesh.centres(), middles]), np.vstack([cells, walls]))
        points = np.stack(np.meshgrid(*self.axes()), -1).reshape(-1, 2)
        found = known(points)
        found[np.any([inside(points, body.points) for body in bodies], axis=0)] = np.nan
        return {name: found[:, i].reshape(self.shape) for i, name in enumerate(NAMES)}

    def stacked(self, several: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """`u`, `v`, `p` (k, rows, columns) of k points, NaN for a point without, and the axes `x` and `y`."""
        nothing = np.full(self.shape, np.nan)
        fields = {name: np.stack([found.get(name, nothing) for found in several]) for name in NAMES} if several else {}
        return fields | dict(zip("xy", self.axes(), strict=True))


def cell_numbers(text: str) -> np.ndarray:
    """The numbers (cells,) of a field file; ValueError where it holds one number for all cells."""
    found = NUMBERS.search(text)
    if found is None:
        raise ValueError("got a field without a list of numbers; expected one for each cell")
    return np.array(found[1].split(), dtype=float)


def _walls(mesh: PlaneMesh) -> tuple[np.ndarray, np.ndarray]:
    """The midpoints (m, 2) of the walls' edges, and the cells (m,) beside them."""
    edges, cells = mesh.edges()
    ends = np.concatenate([part for name, part in mesh.boundary.items() if name != FAR])
    number = {frozenset(edge): cell for edge, cell in zip(edges.tolist(), cells.tolist(), strict=True)}
    return mesh.points[ends].mean(1), np.array([number[frozenset(end)] for end in ends.tolist()])
