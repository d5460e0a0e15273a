r"""
Outlines of bodies, and the points that a mesh puts on them.

An outline is cut at its corners; between two corners a cubic spline runs through its points. Along the spline the edge
length :math:`h(s)` is a fraction of the radius of curvature, at most `longest`, `corner` at corners, and grows along
the arc at most at the rate :math:`g`: :math:`h(s) = \min_t [h_0(t) + g |s - t|]`. The mesh's points stand where
:math:`\int ds / h` is a whole number, so that neighbouring edges differ by little.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.interpolate import CubicSpline
from scipy.spatial import cKDTree

from sciencegen.airfoil.chordline import Chord, chord, frame
from sciencegen.airfoil.outline import selig

__all__ = ["Body", "bodies", "crosses", "gap", "inside"]

CORNER = np.deg2rad(30.0)  # a turn by more than this is a corner
TURN = 0.12  # edge over radius of curvature: 7 degrees
GROWTH = 0.15
FEWEST = 3
SAMPLES = 4000  # of a spline, to integrate along it
THICKEST = 0.6  # chords: what is thicker is a body and no airfoil
MISSED = 0.005  # chords by which an airfoil's chord may miss 1
TURNED = 5.0  # degrees between its chord and the x axis, as for XFOIL


@dataclass(frozen=True, eq=False)
class Body:
    """A closed outline: `points` (n, 2) counter-clockwise, none twice; moments turn about `moment_centre` (2,)."""

    points: np.ndarray
    moment_centre: np.ndarray

    def corners(self) -> np.ndarray:
        """The numbers of the points at which the outline turns by more than 30 degrees."""
        ahead = np.roll(self.points, -1, 0) - self.points
        behind = np.roll(ahead, 1, 0)
        turn = np.arctan2(_cross(behind, ahead), (behind * ahead).sum(1))
        return np.flatnonzero(np.abs(turn) > CORNER)

    def spaced(self, longest: float, corner: float) -> tuple[np.ndarray, np.ndarray]:
        """The mesh's points (m, 2) on the outline, edges at most `longest`, and which of them are corners."""
        sharpened = _without_stubs(self.points, self.corners(), corner / 2)
        body = Body(sharpened, self.moment_centre)
        cuts = body.corners()
        if not len(cuts):
            return _space(np.vstack([sharpened, sharpened[:1]]), longest, longest, periodic=True), cuts
        loop = np.roll(sharpened, -cuts[0], 0)
        ends = [*(cuts - cuts[0]), len(loop)]
        closed = np.vstack([loop, loop[:1]])
        pieces = [_space(closed[a : b + 1], longest, corner) for a, b in zip(ends[:-1], ends[1:], strict=True)]
        return np.concatenate(pieces), np.cumsum([0, *map(len, pieces[:-1])])


def bodies(outlines: ArrayLike | Sequence[ArrayLike]) -> tuple[Body, ...]:
    """
    Bodies of one outline (n, 2) or of several, in reference lengths; open and closed outlines, in either direction.

    An airfoil's moments are about its quarter chord, whatever its outline starts with; another body's about a quarter
    of the way from the point farthest from the outline's first point to that first point.

    An airfoil alone has a chord of 1 and along x, as coefficients and Reynolds number are based on 1 and angles are
    measured from x. One of several, or the only one of a sequence, may have any: there the reference length is none's.

    ValueError for shapes that are no outlines, for outlines that cross themselves, enclose nothing, or touch or lie in
    each other, and for an airfoil alone with another chord.
    """
    one = isinstance(outlines, np.ndarray) and outlines.ndim == 2 or np.ndim(outlines[0]) == 1
    found = tuple(_body(outline, number) for number, outline in enumerate([outlines] if one else outlines))
    line = _airfoil(np.asarray(outlines, dtype=float)) if one else None
    if line is not None and (abs(line.length - 1) > MISSED or abs(line.angle) > TURNED):
        raise ValueError(f"got an airfoil with a chord of {line.length:.4g} at {line.angle:.1f} degrees from x; "
                         "expected 1 and along x, on which coefficients, Reynolds number and angles are based; give "
                         "airfoil.normalize(coordinates), or [coordinates] if reference length and x are meant")
    for number, body in enumerate(found):
        others = [other.points for other in found[:number]]
        if any(inside(body.points[:1], points)[0] or inside(points[:1], body.points)[0] for points in others):
            raise ValueError(f"outline {number} and another one lie in each other; expected bodies side by side")
    if len(found) > 1 and gap(found) <= 0:
        raise ValueError("got outlines that touch; move them apart")
    return found


def gap(several: Sequence[Body]) -> float:
    """The least distance between points of different bodies; infinite for one."""
    trees = [cKDTree(_dense(body.points)) for body in several]
    pairs = [(a, b) for i, a in enumerate(trees) for b in trees[:i]]
    return min((float(a.query(b.data)[0].min()) for a, b in pairs), default=np.inf)


def _body(outline: ArrayLike, number: int) -> Body:
    points = np.asarray(outline, dtype=float)
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise ValueError(f"outline {number} must be (n, 2) and finite; got {points.shape}")
    line = _airfoil(points)
    nose = points[np.hypot(*(points - points[0]).T).argmax()] if line is None else line.nose
    tail = points[0] if line is None else line.tail
    size = np.ptp(points, axis=0).max()
    points = points[np.hypot(*(np.roll(points, -1, 0) - points).T) > 1e-9 * size]
    if len(points) < FEWEST or abs(area := _area(points)) < 1e-6 * size**2 or crosses(points):
        raise ValueError(f"outline {number} crosses itself or encloses nothing; expected a simple closed curve")
    area = _area(points)
    points = points if area > 0 else points[::-1]
    return Body(points, nose + (tail - nose) / 4)


def _airfoil(points: np.ndarray) -> Chord | None:
    """The chord of an outline that is an airfoil's: slender, and pointed or cut off at one end."""
    try:
        outline = selig(points)
    except ValueError:
        return None
    line = chord(outline)
    along = frame(outline, line.tail, line.nose)
    pointed = (along[1] - along[0]) @ (along[-2] - along[-1]) > 0
    return line if pointed and np.ptp(along[:, 1]) < THICKEST else None


def _space(piece: np.ndarray, longest: float, corner: float, periodic: bool = False) -> np.ndarray:
    """Points along a spline through `piece`, its last end left out."""
    s = np.concatenate([[0.0], np.hypot(*np.diff(piece, axis=0).T).cumsum()])
    spline = CubicSpline(s, piece, bc_type="periodic" if periodic else "not-a-knot")
    fine = np.linspace(0, s[-1], SAMPLES)
    first, second = spline(fine, 1), spline(fine, 2)
    curvature = np.abs(_cross(first, second)) / np.hypot(*first.T) ** 3
    size = np.clip(TURN / np.maximum(curvature, TURN / longest), corner / 2, longest)
    if not periodic:
        size[[0, -1]] = np.minimum(size[[0, -1]], corner)
    for _ in range(2):
        size = (np.minimum.accumulate(size - GROWTH * fine) + GROWTH * fine)[::-1]
    density = (1 / size[1:] + 1 / size[:-1]) / 2 * (fine[1] - fine[0])
    count = np.concatenate([[0.0], density.cumsum()])
    edges = max(int(np.ceil(count[-1])), FEWEST if periodic else 1)
    points = spline(np.interp(np.linspace(0, count[-1], edges + 1), count, fine))
    points[0] = piece[0]
    return points[:-1]


def _without_stubs(points: np.ndarray, corners: np.ndarray, shortest: float) -> np.ndarray:
    """What is shorter than `shortest` from a corner to the next (a nearly sharp trailing edge) becomes a point.

    Points between the two go, and those nearer than `shortest` to the new one, with which it would be blunt again.
    """
    lengths, joined = np.hypot(*(np.roll(points, -1, 0) - points).T), np.zeros(len(points), dtype=bool)
    for corner, after in zip(corners.tolist(), np.roll(corners, -1).tolist(), strict=True):
        between = np.arange(corner, corner + (after - corner) % len(points)) % len(points)
        joined[between] |= lengths[between].sum() < shortest
    starts, stops = np.flatnonzero(~np.roll(joined, 1)), np.flatnonzero(~joined)
    last = stops[np.searchsorted(stops, starts) % len(stops)]
    found, merged = (points[starts] + points[last]) / 2, starts != last
    away = np.hypot(*np.moveaxis(found[:, None] - found[merged], -1, 0)) >= shortest
    return found[merged | away.all(1)]


def _area(points: np.ndarray) -> float:
    return float(_cross(points, np.roll(points, -1, 0)).sum() / 2)


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def crosses(points: np.ndarray) -> bool:
    """Whether two edges of the closed polygon cross: the ends of each lie on both sides of the other."""
    along = np.roll(points, -1, 0) - points
    side = _cross(along[:, None], points[None] - points[:, None])
    straddles = side * np.roll(side, -1, 1) < 0
    return bool((straddles & straddles.T).any())


def inside(points: np.ndarray, polygon: np.ndarray) -> np.ndarray:
    """Which of the points (n, 2) lie in the closed polygon (m, 2): a ray from there crosses an odd number of edges."""
    (x, y), odd = points.T, np.zeros(len(points), dtype=bool)
    for (ax, ay), (bx, by) in zip(polygon.tolist(), np.roll(polygon, -1, 0).tolist(), strict=True):
        if ay != by:
            odd ^= ((ay > y) != (by > y)) & (x < ax + (y - ay) * (bx - ax) / (by - ay))
    return odd


def _dense(points: np.ndarray) -> np.ndarray:
    following = np.roll(points, -1, 0)
    weights = np.linspace(0, 1, 9)[:-1, None, None]
    return (points + weights * (following - points)).reshape(-1, 2)
