"""
A plane mesh as OpenFOAM's `constant/polyMesh`: every cell a prism one span high between two `empty` sides.

OpenFOAM asks for faces that point from the cell with the smaller number (the owner) to its neighbour, inner faces
first, ordered by owner and then neighbour. An edge from a to b with the cell on its left becomes the face
(a, b, b', a'), whose normal points out of that cell. Written here rather than converted by `gmshToFoam`, which matches
faces by nodes and fails where a boundary layer's cells are thinner than Gmsh's tolerance for extruded nodes. Reference:
OpenFOAM User Guide, "Mesh description", https://www.openfoam.com/documentation/user-guide/4-mesh-generation-and-conversion/4.1-mesh-description.
"""

from __future__ import annotations

import numpy as np

from sciencegen.solvers.mesh import PlaneMesh
from sciencegen.solvers.mesh.gmsh import FAR
from sciencegen.solvers.openfoam.dictionary import dictionary

__all__ = ["SIDES", "SPAN", "polymesh"]

SIDES = "sides"
SPAN = 0.1  # any: coefficients are per unit span
FOLDER = "constant/polyMesh"


def polymesh(mesh: PlaneMesh) -> dict[str, str]:
    """The files of the mesh by path; boundary edges but those named "far" become walls."""
    edges, cells = mesh.edges()
    inner, neighbour, outer = _faces(mesh, cells)
    count = len(mesh.points)
    faces = [_upright(edges[inner], count)]
    owner, patches, start = [cells[inner]], {}, len(inner)
    for name, part in _patches(mesh, edges, outer).items():
        faces.append(_upright(edges[part], count))
        owner.append(cells[part])
        patches[name] = {"type": "patch" if name == FAR else "wall", "nFaces": len(part), "startFace": start}
        start += len(part)
    patches[SIDES] = {"type": "empty", "nFaces": 2 * len(mesh), "startFace": start}
    lines = [line for block in faces for line in _list(block)]
    for polygons in (mesh.triangles[:, ::-1], mesh.quads[:, ::-1], mesh.triangles + count, mesh.quads + count):
        lines += _list(polygons)
    owner += [np.arange(len(mesh))] * 2
    return {
        f"{FOLDER}/points": _file("points", "vectorField", _points(mesh.points)),
        f"{FOLDER}/faces": _file("faces", "faceList", lines),
        f"{FOLDER}/owner": _file("owner", "labelList", [*map(str, np.concatenate(owner).tolist())]),
        f"{FOLDER}/neighbour": _file("neighbour", "labelList", [*map(str, neighbour.tolist())]),
        f"{FOLDER}/boundary": _boundary(patches),
    }


def _faces(mesh: PlaneMesh, cells: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices of the inner edges as their owners see them, the neighbours, and indices of the edges with one cell."""
    first, second = mesh.pairs()
    order = np.lexsort((cells[second], cells[first]))
    return first[order], cells[second][order], np.setdiff1d(np.arange(len(cells)), np.concatenate([first, second]))


def _patches(mesh: PlaneMesh, edges: np.ndarray, outer: np.ndarray) -> dict[str, np.ndarray]:
    """Indices of the outer edges by the name of the boundary they lie on."""
    found = {frozenset(edge): index for edge, index in zip(edges[outer].tolist(), outer.tolist(), strict=True)}
    parts = {name: [found.pop(frozenset(edge), -1) for edge in part.tolist()] for name, part in mesh.boundary.items()}
    if found or any(-1 in part for part in parts.values()):
        raise ValueError(f"got {len(found)} outer edges without a name; expected each in one of {sorted(parts)}")
    return {name: np.array(part, dtype=int) for name, part in parts.items()}


def _upright(edges: np.ndarray, count: int) -> np.ndarray:
    a, b = edges.T
    return np.stack([a, b, b + count, a + count], 1)


def _list(polygons: np.ndarray) -> list[str]:
    form = f"{polygons.shape[1]}({' '.join(['%d'] * polygons.shape[1])})"
    return [form % tuple(row) for row in polygons.tolist()]


def _points(points: np.ndarray) -> list[str]:
    rows = points.tolist()
    return [f"({x!r} {y!r} {z!r})" for z in (0.0, SPAN) for x, y in rows]


def _file(name: str, kind: str, lines: list[str]) -> str:
    return "\n".join([dictionary(f"{FOLDER}/{name}", {}, kind), str(len(lines)), "(", *lines, ")", ""])


def _boundary(patches: dict[str, dict]) -> str:
    blocks = dictionary("x", patches).split("}\n", 1)[1]
    return _file("boundary", "polyBoundaryMesh", [blocks]).replace("\n1\n(", f"\n{len(patches)}\n(", 1)
