"""Heat in a disc on an unstructured mesh: Poisson's equation with random sources, by linear finite elements.

    python datasets/make_mesh.py --out runs/mesh.nc [--nodes 1000] [--samples 100] [--seed 0]

Samples on one mesh: the source ``f``, the temperature ``u`` with ``u = 0`` on the rim, and the conductivity ``k``; the
nodes' coordinates ``x, y`` and the triangles ``cells``. The same seed gives the same file.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import h5py
import numpy as np
import scipy.sparse
import xarray
from scipy.sparse.linalg import splu
from scipy.spatial import Delaunay


def disc(nodes: int = 200, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Points ``(nodes, 2)``, the first of them on the circle, and triangles ``(cells, 3)``."""
    draw, rim = np.random.default_rng(seed), int(2.2 * np.sqrt(nodes))
    angle = 2 * np.pi * np.arange(rim) / rim
    circle = np.stack([np.cos(angle), np.sin(angle)], -1)
    trial = draw.uniform(-1, 1, (40 * nodes, 2))
    trial = trial[np.square(trial).sum(-1) < 0.95**2]
    inner = [trial[0]]
    while len(inner) < nodes - rim:  # the best of ten candidates: points that keep apart
        some = trial[draw.integers(len(trial), size=10)]
        apart = np.linalg.norm(some[:, None] - np.array([*inner, *circle]), axis=-1).min(-1)
        inner.append(some[apart.argmax()])
    points = np.concatenate([circle, inner])
    return points, Delaunay(points).simplices.astype(np.int64)


def elements(points: np.ndarray, cells: np.ndarray) -> tuple[scipy.sparse.csr_matrix, np.ndarray]:
    """Stiffness ``(n, n)`` and lumped mass ``(n,)`` of linear elements."""
    corner = points[cells]
    edges = corner[:, [2, 0, 1]] - corner[:, [1, 2, 0]]  # opposite to each corner
    area = np.abs(edges[:, 0, 0] * edges[:, 1, 1] - edges[:, 0, 1] * edges[:, 1, 0]) / 2
    local = np.einsum("cid,cjd->cij", edges, edges) / (4 * area[:, None, None])
    row, column = (np.broadcast_to(cells[:, a, b], local.shape).ravel() for a, b in
                   ((slice(None), None), (None, slice(None))))
    stiff = scipy.sparse.csr_matrix((local.ravel(), (row, column)), (len(points),) * 2)
    return stiff, np.bincount(cells.ravel(), np.repeat(area / 3, 3), len(points))


def poisson(nodes: int = 200, samples: int = 100, seed: int = 0) -> xarray.Dataset:
    """Sources ``f``, solutions ``u (sample, node)`` of ``-k laplacian u = f`` with ``u = 0`` on the rim, and ``k``."""
    points, cells = disc(nodes, seed)
    stiff, mass = elements(points, cells)
    inside = np.square(points).sum(-1) < 1 - 1e-9
    solve = splu(stiff[inside][:, inside].tocsc()).solve
    draw = np.random.default_rng(seed + 1)
    wave, phase = draw.normal(0, 2, (samples, 12, 2)), draw.uniform(0, 2 * np.pi, (samples, 12, 1))
    f = np.cos(wave @ points.T + phase).sum(1) / np.sqrt(6)
    k, u = draw.uniform(0.5, 2, samples), np.zeros_like(f)
    u[:, inside] = solve((mass * f)[:, inside].T).T / k[:, None]
    return xarray.Dataset(
        {"f": (("sample", "node"), f, {"units": "W m-3"}), "u": (("sample", "node"), u, {"units": "K"}),
         "k": ("sample", k, {"units": "W m-1 K-1"}), "cells": (("cell", "corner"), cells)},
        {"x": ("node", points[:, 0], {"units": "m"}), "y": ("node", points[:, 1], {"units": "m"})})


def write(path: Path, data: xarray.Dataset) -> dict[str, tuple[str, ...]]:
    """The same as plain HDF5 with points as one table; the dims that its owner would say."""
    with h5py.File(path, "w") as file:
        for name in ("f", "u", "k", "cells"):
            file[name] = data[name].values
        file["points"] = np.stack([data.x.values, data.y.values], -1)
    return {"f": ("sample", "node"), "u": ("sample", "node"), "k": ("sample",), "cells": ("cell", "corner"),
            "points": ("node", "direction")}


def main() -> None:
    """Write the file that the command line asks for."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--out", type=Path, required=True, help="netCDF file to write")
    for name, value in (("nodes", 1000), ("samples", 100), ("seed", 0)):
        asked.add_argument(f"--{name}", type=int, default=value)
    given = asked.parse_args()
    given.out.parent.mkdir(parents=True, exist_ok=True)
    poisson(given.nodes, given.samples, given.seed).to_netcdf(given.out, engine="h5netcdf")


if __name__ == "__main__":
    main()
