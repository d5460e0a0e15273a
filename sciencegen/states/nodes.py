"""Where the nodes of a mesh or a cloud of points are, and which of them a cell joins.

An axis without a coordinate of its own name whose positions stand beside it is made of nodes: positions are variables
``x, y[, z]`` over that axis alone, or one over (axis, 2 or 3). Cells are whole numbers over (cell, corner) that count
nodes. Names are those of "UGRID Conventions" (2018), https://ugrid-conventions.github.io/ugrid-conventions, where a
file follows them, else the usual ones.
"""

from __future__ import annotations

import numpy as np
import xarray

__all__ = ["nodes", "sources"]

LETTERS = ("x", "y", "z")
CELLS = ("cells", "faces", "elements", "triangles", "connectivity", "face_node_connectivity", "edges")


def nodes(data: xarray.Dataset, dim: str) -> dict[str, xarray.Variable]:
    """Coordinates ``x, y, z (dim,)`` and ``cells (cell, corner)`` of an axis of nodes; nothing if it is none."""
    found = _positions(data, dim)
    cells = _cells(data) if found else None
    return found if cells is None else {**found, "cells": _corners(data, cells, data.sizes[dim])}


def sources(data: xarray.Dataset, dim: str) -> list[str]:
    """The variables that :func:`nodes` reads."""
    tables = [str(k) for k, v in data.variables.items() if v.dims[:1] == (dim,) and v.dtype.kind in "fiu"]
    return [*tables, *filter(None, [_cells(data)])] if _positions(data, dim) else []


def _positions(data: xarray.Dataset, dim: str) -> dict[str, xarray.Variable]:
    """Where the nodes are, by axis: of one variable each, under the names in use, or of one table."""
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


def _cells(data: xarray.Dataset) -> str | None:
    """The variable that says which nodes are corners of a cell."""
    for name, variable in data.variables.items():
        usual = str(name).split("/")[-1] in CELLS or variable.attrs.get("cf_role", "").endswith("node_connectivity")
        if usual and variable.dtype.kind in "iu" and variable.ndim == 2:
            return str(name)
    return None


def _corners(data: xarray.Dataset, name: str, count: int) -> xarray.Variable:
    """Corners ``(cell, corner)`` of the cells, counted from 0."""
    corners = np.asarray(data[name].values).astype(np.int64) - int(data[name].attrs.get("start_index", 0))
    if corners.shape[0] < corners.shape[1] and corners.shape[0] in (2, 3, 4):
        corners = corners.T  # as edge_index of graph libraries, (corner, cell)
    if corners.min() < 0 or corners.max() >= count:
        raise ValueError(f"got '{name}' that counts nodes {corners.min()} to {corners.max()}; expected 0 to "
                         f"{count - 1}, or the attribute start_index to say what the first one is called")
    return xarray.Variable(("cell", "corner"), corners)


def _numbers(variable: xarray.Variable, dims: tuple[str, ...]) -> xarray.Variable:
    """A coordinate in float64, with its units; ValueError where it is not finite."""
    values = np.asarray(variable.values, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError("got positions of nodes that are not finite; expected finite ones: mend the file")
    return xarray.Variable(dims, values, {k: v for k, v in variable.attrs.items() if k == "units"})
