"""
A mesh of triangles and quadrangles in the plane: read from Gmsh, written for the programs that solve on it.

What all of them need is the same: points, cells that run counter-clockwise and boundary edges by name. Reference:
Gmsh Reference Manual, "MSH file format version 2", https://gmsh.info/doc/texinfo/gmsh.html.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import reverse_cuthill_mckee

__all__ = ["PlaneMesh", "read_msh"]

SLIVER = 0.01  # area over the longest edge squared
NODES = {1: 2, 2: 3, 3: 4}  # nodes of Gmsh's line, triangle and quadrangle


@dataclass(frozen=True, eq=False)
class PlaneMesh:
    """
    `points` (n, 2), `triangles` (t, 3) and `quads` (q, 4) counter-clockwise; `boundary[name]` (m, 2) are edges.

    Cells are counted through, triangles first.
    """

    points: np.ndarray
    triangles: np.ndarray
    quads: np.ndarray
    boundary: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.triangles) + len(self.quads)

    def edges(self) -> tuple[np.ndarray, np.ndarray]:
        """Every cell's directed edges (e, 2), the cell on their left, and that cell's number (e,)."""
        blocks, cells, start = [], [], 0
        for polygons in (self.triangles, self.quads):
            for corner in range(polygons.shape[1]):
                blocks.append(np.stack([polygons[:, corner], polygons[:, (corner + 1) % polygons.shape[1]]], 1))
                cells.append(np.arange(start, start + len(polygons)))
            start += len(polygons)
        return np.concatenate(blocks), np.concatenate(cells)

    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """Which of `edges()` are the same edge seen from two cells: indices (i,), (i,), the smaller cell's first."""
        edges, cells = self.edges()
        low, high = edges.min(1), edges.max(1)
        order = np.lexsort((cells, high, low))
        same = (low[order][1:] == low[order][:-1]) & (high[order][1:] == high[order][:-1])
        return order[:-1][same], order[1:][same]

    def centres(self) -> np.ndarray:
        """The mean of each cell's corners (cells, 2)."""
        return np.concatenate([self.points[self.triangles].mean(1), self.points[self.quads].mean(1)])

    def renumbered(self) -> PlaneMesh:
        """The same mesh with cells of a kind in reverse Cuthill-McKee order: neighbours close in memory."""
        _, cells = self.edges()
        a, b = (cells[part] for part in self.pairs())
        links = (np.ones(2 * len(a)), (np.concatenate([a, b]), np.concatenate([b, a])))
        rank = np.argsort(reverse_cuthill_mckee(coo_array(links, shape=(len(self),) * 2).tocsr(), symmetric_mode=True))
        split = len(self.triangles)
        triangles, quads = self.triangles[np.argsort(rank[:split])], self.quads[np.argsort(rank[split:])]
        return replace(self, triangles=triangles, quads=quads)


def read_msh(text: str) -> PlaneMesh:
    """
    The mesh in `text`, a Gmsh file of format 2.2 with named physical curves; points that no cell uses are left out.

    ValueError says what is wrong with a file that is not complete or has no cells.
    """
    sections = _sections(text)
    missing = sorted({"PhysicalNames", "Nodes", "Elements"} - set(sections))
    if missing:
        raise ValueError(f"got a mesh without {missing}; expected a complete file of format 2.2 with physical names")
    names = {int(words[1]): words[2].strip('"') for words in map(str.split, sections["PhysicalNames"])}
    nodes = np.array([line.split()[:3] for line in sections["Nodes"]], dtype=float)
    shapes, groups = _elements(sections["Elements"])
    if not len(shapes[2]) + len(shapes[3]):
        raise ValueError("got a mesh without cells; expected triangles or quadrangles")
    number = np.full(int(nodes[:, 0].max()) + 1, -1)
    used = np.unique(np.concatenate([shapes[2].ravel(), shapes[3].ravel()]))
    number[used] = np.arange(len(used))
    order = np.argsort(nodes[:, 0])
    points = nodes[order[np.searchsorted(nodes[order, 0], used)], 1:3]
    boundary = {names[group]: number[shapes[1][groups == group]] for group in np.unique(groups).tolist()}
    triangles = _without_slivers(number[shapes[2]], points)
    cells = [_counter_clockwise(polygons, points) for polygons in (triangles, number[shapes[3]])]
    return PlaneMesh(points, cells[0], cells[1], boundary)


def _sections(text: str) -> dict[str, list[str]]:
    """The lines of each complete `$Name ... $EndName` block, without the count that opens it."""
    found = {}
    lines = text.splitlines()
    for start, line in enumerate(lines):
        if line.startswith("$") and not line.startswith("$End") and f"$End{line[1:]}" in lines[start:]:
            stop = lines.index(f"$End{line[1:]}", start)
            found[line[1:]] = lines[start + 2 : stop]
    return found


def _elements(lines: list[str]) -> tuple[dict[int, np.ndarray], np.ndarray]:
    """Node numbers of lines, triangles and quadrangles by Gmsh's type, and the physical group of each line."""
    rows: dict[int, list[list[str]]] = {kind: [] for kind in NODES}
    groups = []
    for words in map(str.split, lines):
        kind = int(words[1])
        if kind in NODES:
            rows[kind].append(words[-NODES[kind] :])
            groups += [int(words[3])] if kind == 1 else []
    return {k: np.array(v, dtype=int).reshape(-1, NODES[k]) for k, v in rows.items()}, np.array(groups, dtype=int)


def _without_slivers(triangles: np.ndarray, points: np.ndarray) -> np.ndarray:
    """
    Triangles without height lose their long edge, which is flipped; Gmsh makes them of boundary points in a line.

    The neighbour over that edge and the sliver become two triangles of the neighbour's height.
    """
    triangles = triangles.copy()
    corners = points[triangles]
    lengths = np.hypot(*np.moveaxis(np.roll(corners, -1, 1) - corners, -1, 0))
    area = np.abs(_areas(triangles, points))
    for sliver in np.flatnonzero(area < SLIVER * lengths.max(1) ** 2).tolist():
        middle = triangles[sliver, (lengths[sliver].argmax() + 2) % 3]
        ends = np.setdiff1d(triangles[sliver], middle)
        touching = np.isin(triangles, ends).sum(1) == 2
        touching[sliver] = False
        if touching.any():
            neighbour = int(touching.argmax())
            apex = np.setdiff1d(triangles[neighbour], ends)[0]
            triangles[sliver], triangles[neighbour] = [middle, ends[0], apex], [middle, ends[1], apex]
    return triangles


def _areas(polygons: np.ndarray, points: np.ndarray) -> np.ndarray:
    x, y = np.moveaxis(points[polygons], -1, 0)
    return (x * np.roll(y, -1, 1) - np.roll(x, -1, 1) * y).sum(1) / 2


def _counter_clockwise(polygons: np.ndarray, points: np.ndarray) -> np.ndarray:
    return np.where(_areas(polygons, points)[:, None] < 0, polygons[:, ::-1], polygons)
