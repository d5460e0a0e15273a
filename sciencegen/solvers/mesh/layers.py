r"""
Layers of quadrangles on a body's wall: columns of cells along the outward normals, as high as the layer is thick.

Heights grow from the wall by a constant ratio, :math:`h_j = w r^j`. At a convex corner the column opens into a fan,
whose first layer is triangles. Where neighbouring columns would meet before the layer ends (a concave corner, a narrow
slot) the layer is made thinner until its front is a simple curve.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sciencegen.solvers.mesh.outlines import crosses

__all__ = ["Layers", "heights", "layers"]

THINNER, TRIES = 0.6, 8


@dataclass(frozen=True, eq=False)
class Layers:
    """
    `nodes` (n, 2): the wall's points first, the front's points last, both in order around the body.

    `triangles` (t, 3) and `quads` (q, 4) are counter-clockwise and number these nodes; `wall` and `front` are counts.
    """

    nodes: np.ndarray
    triangles: np.ndarray
    quads: np.ndarray
    wall: int
    front: int


def heights(wall: float, growth: float, thickness: float) -> np.ndarray:
    """Distances (n,) of the layers' edges from the wall; the last is `thickness`, the first `wall` or a little less."""
    if thickness <= wall:
        return np.array([thickness])
    count = int(np.ceil(np.log1p(thickness * (growth - 1) / wall) / np.log(growth)))
    edges = (growth ** np.arange(1, count + 1) - 1) / (growth**count - 1)
    return thickness * edges


def layers(points: np.ndarray, corners: np.ndarray, wall: float, growth: float, thickness: float, arc: float) -> Layers:
    """
    The layers on the wall `points` (m, 2), counter-clockwise, with fans at `corners` (c,) whose outer edges are `arc`.

    ValueError where no layer fits: the wall itself crosses itself, or almost.
    """
    for _ in range(TRIES):
        base, directions = _columns(points, corners, arc / thickness)
        front = points[base] + thickness * directions
        if not crosses(front):
            return _stack(points, base, directions, heights(wall, growth, thickness))
        thickness *= THINNER
    raise ValueError("no layer of cells fits on the outline; smooth its concave corners")


def _columns(points: np.ndarray, corners: np.ndarray, angle: float) -> tuple[np.ndarray, np.ndarray]:
    """The wall point (c,) of each column and its direction (c, 2); convex corners have several, `angle` apart."""
    along = np.roll(points, -1, 0) - points
    ahead = np.arctan2(-along[:, 0], along[:, 1])  # the outward normal of the edge after each point, as an angle
    behind = np.roll(ahead, 1)
    turn = (ahead - behind + np.pi) % (2 * np.pi) - np.pi
    count = np.ones(len(points), dtype=int)
    convex = corners[turn[corners] > 0]
    count[convex] = 1 + np.maximum(np.ceil(turn[convex] / angle), 2).astype(int)
    base = np.repeat(np.arange(len(points)), count)
    place = np.arange(len(base)) - np.repeat(np.cumsum(count) - count, count)
    share = np.where(count[base] > 1, place / np.maximum(count[base] - 1, 1), 0.5)
    theta = behind[base] + share * turn[base]
    return base, np.stack([np.cos(theta), np.sin(theta)], 1)


def _stack(points: np.ndarray, base: np.ndarray, directions: np.ndarray, levels: np.ndarray) -> Layers:
    columns, wall = len(base), len(points)
    above = points[base] + levels[:, None, None] * directions
    number = np.vstack([base, wall + np.arange(columns * len(levels)).reshape(len(levels), columns)])
    following = np.roll(number, -1, 1)
    cells = np.stack([number[:-1], number[1:], following[1:], following[:-1]], -1)
    pinched = cells[0, :, 0] == cells[0, :, 3]
    quads = np.concatenate([cells[0, ~pinched], cells[1:].reshape(-1, 4)])
    return Layers(np.vstack([points, above.reshape(-1, 2)]), cells[0, pinched, :3], quads, wall, columns)
