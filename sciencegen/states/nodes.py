"""Where the nodes of a mesh or a cloud of points are, and which of them a cell joins.

An axis without a coordinate of its own name whose positions stand beside it is made of nodes: positions are variables
``x, y[, z]`` over that axis alone, or one over (axis, 2 or 3). Cells are whole numbers over (cell, corner) that count
nodes. Names are those of "UGRID Conventions" (2018), https://ugrid-conventions.github.io/ugrid-conventions, where a
file follows them, else the usual ones.
"""

from __future__ import annotations

import numpy as np
import xarray

__all__ = ["nodes"]

LETTERS = ("x", "y", "z")
CELLS = ("cells", "faces", "elements", "triangles", "connectivity", "face_node_connectivity", "edges")


def nodes(data: xarray.Dataset, dim: str) -> dict[str, xarray.Variable]:
    """Coordinates ``x, y, z (dim,)`` and ``cells (cell, corner)`` of an axis of nodes; nothing if it is none."""
    found = _positions(data, dim)
    return {**found, **_cells(data, dim)} if found else {}


def _positions(data: xarray.Dataset, dim: str) -> dict[str, xarray.Variable]:
    every = {str(k): v for k, v in data.variables.items() if v.dtype.kind in "fiu"}
    lines = {k: v for k, v in every.items() if v.dims == (dim,) and k != dim}
    for letters in (LETTERS, tuple(f"{dim}_{a}" for a in LETTERS), tuple(f"{a}_{dim}" for a in LETTERS),
                    tuple(f"mesh_{dim}_{a}" for a in LETTERS)):
        if letters[0] in lines:
            return {a: _numbers(lines[k], (dim,)) for a, k in zip(LETTERS, letters) if k in lines}
    tables = [v for v in every.values() if v.ndim == 2 and v.dims[0] == dim and v.shape[1] in (1, 2, 3)]
    if len(tables) == 1 and "sample" not in tables[0].dims and "time" not in tables[0].dims:
        return {a: _numbers(tables[0][:, i], (dim,)) for i, a in enumerate(LETTERS[: tables[0].shape[1]])}
    return {}


def _cells(data: xarray.Dataset, dim: str) -> dict[str, xarray.Variable]:
    count = data.sizes[dim]
    for name, variable in data.variables.items():
        usual = str(name).split("/")[-1] in CELLS or variable.attrs.get("cf_role", "").endswith("node_connectivity")
        if not usual or variable.dtype.kind not in "iu" or variable.ndim != 2:
            continue
        corners = np.asarray(variable.values) - int(variable.attrs.get("start_index", 0))
        if corners.shape[0] < corners.shape[1] and corners.shape[0] in (2, 3, 4):
            corners = corners.T  # as edge_index of graph libraries, (corner, cell)
        if corners.min() < 0 or corners.max() >= count:
            raise ValueError(f"got '{name}' that counts nodes {corners.min()} to {corners.max()}; expected 0 to "
                             f"{count - 1}, or the attribute start_index to say what the first one is called")
        return {"cells": xarray.Variable(("cell", "corner"), corners.astype(np.int64))}
    return {}


def _numbers(variable: xarray.Variable, dims: tuple[str, ...]) -> xarray.Variable:
    values = np.asarray(variable.values, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError("got positions of nodes that are not finite; expected finite ones: mend the file")
    return xarray.Variable(dims, values, {k: v for k, v in variable.attrs.items() if k == "units"})
