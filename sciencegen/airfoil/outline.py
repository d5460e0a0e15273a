r"""An airfoil's outline in Selig's order: from the trailing edge over the upper side to the nose and back below.

A loop of points may start anywhere and run either way. The chord is its longest diameter, unless the first point has
one about as long. Of the two ends the trailing edge is the thinner one (the sum of the thicknesses at 2, 5 and 10 % of
the chord from either end; of 2,168 airfoils of the UIUC collection all but eight have noses that are 1.5 to 70 times as
thick there as their tails), or the one that is pointed or cut off, or, where neither tells, the one at which the loop
starts.

The ends are together: a base is left open and points on it are left out, a pointed tail stands at both ends. Along the
chord each side runs from end to end without turning back, the upper one above the lower, so that the outline does not
cross itself. What cannot be put so is refused.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial import ConvexHull
from scipy.spatial.distance import cdist

from sciencegen.airfoil.chordline import chord, frame

__all__ = ["selig"]

_FEWEST = 10
_STATIONS = (0.02, 0.05, 0.1)  # of the chord, from either end
_CLEARLY = 1.5  # times as thick
_CORNER = np.deg2rad(60.0)
_TURN = np.deg2rad(40.0)  # at the ends of a base
_UPRIGHT, _STEEP, _SHALLOW = 3.0, 1.7, 0.3  # height over length of an edge: a base that is open, closed, a surface
_LONG = 5.0  # times as long as the next edge: a base that bends into its sides
_NEAR = 0.05  # chords that belong to an end
_BASE = 0.3  # chords: the largest there is (AH 93-W-480B has 0.23)
_TOUCH = 2e-4  # chords between the ends of one pointed tail
_BACK = 2e-3  # chords by which a side may turn back: noses that droop
_OVERLAP = 1e-6  # chords by which the sides may cross from rounding
_FLAT = 1e-3  # of the length: thinner is no airfoil
_TILT = 60.0  # degrees: what is turned by more may as well be mirrored
_WHOLE = "expected both sides of an airfoil, both ends at the trailing edge; is it whole, and one element?"


def selig(coordinates: ArrayLike, cut: int | None = None, what: str = "the outline") -> np.ndarray:
    """An outline in Selig's order, ``(m, 2)``: no point moved, none twice but a pointed tail, which is first and last.

    Arguments:
        coordinates: ``(n, 2)``: one loop, open or closed, from any point on and in either direction, or two blocks,
            each from one end of the chord to the other.
        cut: the number of points of the first block, where it is known.
        what: what errors begin with.

    Raises:
        ValueError: where the points are no outline of an airfoil, or where it cannot be told which end is the tail.
    """
    points = _distinct(coordinates, what)
    extent = np.linalg.svd(points - points.mean(0), compute_uv=False)
    if extent[1] < _FLAT * extent[0]:
        raise ValueError(f"{what}: got an outline that encloses no area; expected both sides of an airfoil")
    points, closed = _joined(points, cut, what)
    points = points if _cross(points, np.roll(points, -1, axis=0)).sum() > 0 else points[::-1]
    return _checked(_from_tail(points, _ends(points, what), closed, what), what)


class _Ends(NamedTuple):
    """The numbers of a point at the tail and of one at the nose."""

    tail: int
    nose: int


def _ends(points: np.ndarray, what: str) -> _Ends:
    """The ends of a loop ``(n, 2)``, counter-clockwise."""
    away = np.hypot(*(points - points[0]).T)
    hull = ConvexHull(points).vertices
    between = cdist(points[hull], points[hull])
    starts = bool(away.max() >= 0.95 * between.max())
    pair = hull[list(np.unravel_index(between.argmax(), between.shape))]
    a, b = (0, int(away.argmax())) if starts else map(int, pair)
    ways = [_Ends(a, b), _Ends(b, a)]
    thick = [_thickness(frame(points, points[way.tail], points[way.nose])) for way in ways]
    sharp = [_pointed(points, way) for way in ways]
    if thick[1] > _CLEARLY * thick[0]:
        return ways[0]
    if thick[0] > _CLEARLY * thick[1]:
        if not (starts and _is_base(points, points[b])):
            return ways[1]
    elif sharp[0] != sharp[1] or starts:
        return ways[1] if sharp == [False, True] else ways[0]
    raise ValueError(f"{what}: got an outline whose trailing edge cannot be told from its nose; expected a loop that "
                     "starts at the trailing edge, which is thinner than the nose; put the rows in order")


def _thickness(along: np.ndarray) -> float:
    """The sum of an outline's thicknesses at stations near the tail."""
    start, stop = along, np.roll(along, -1, axis=0)
    total = 0.0
    for s in 1 - np.array(_STATIONS):
        cut = (start[:, 0] < s) != (stop[:, 0] < s)
        (x, h), (x2, h2) = start[cut].T, stop[cut].T
        total += np.ptp(h + (s - x) / (x2 - x) * (h2 - h)) if cut.any() else 0.0
    return total


def _turns(points: np.ndarray) -> np.ndarray:
    """The angle ``(n,)`` by which a loop turns to the left at each point, radians in [-pi, pi)."""
    ahead = np.roll(points, -1, axis=0) - points
    behind = np.roll(ahead, 1, axis=0)
    return np.arctan2(_cross(behind, ahead), (behind * ahead).sum(1))


def _pointed(points: np.ndarray, way: _Ends) -> bool:
    """Whether an end is pointed or cut off: the loop has a corner there."""
    along = frame(points, points[way.tail], points[way.nose])
    return bool((_turns(points)[along[:, 0] > 1 - _NEAR] > _CORNER).any())


def _is_base(points: np.ndarray, nose: np.ndarray) -> bool:
    """Whether a loop starts and ends at the two corners of a base."""
    ends = frame(points[[0, -1]], (points[0] + points[-1]) / 2, nose)
    length, height = np.abs(ends[0] - ends[1])
    return bool(height > max(_SHALLOW * length, 10 * _TOUCH) and (_turns(points)[[0, -1]] > _CORNER).all())


def _joined(points: np.ndarray, cut: int | None, what: str) -> tuple[np.ndarray, bool]:
    """One loop without its repeated end, and whether it had one; two blocks are put together at the nose."""
    apart = np.hypot(*(points[0] - points[-1])) / np.hypot(*np.ptp(points, axis=0))
    if apart > 0.5:
        edges = np.hypot(*np.diff(points, axis=0).T)
        cut = int(edges.argmax()) + 1 if cut is None else cut
        if not edges[cut - 1] > 0.5 * np.hypot(*np.ptp(points, axis=0)):
            raise ValueError(f"{what}: got an outline whose ends are {apart:.2g} chords apart; {_WHOLE}")
        points = _distinct(np.concatenate([points[:cut][::-1], points[cut:]]), what)
    closed = bool((points[0] == points[-1]).all())
    return points[:-1] if closed else points, closed


def _from_tail(points: np.ndarray, ends: _Ends, closed: bool, what: str) -> np.ndarray:
    """The loop opened at the tail: a base between its corners is left out, a pointed tail stands at both ends."""
    along = frame(points, points[ends.tail], points[ends.nose])
    here = bool(along[:, 0].max() - along[[0, -1], 0].max() <= _TOUCH)
    length, height = np.abs(along[0] - along[-1])
    if not closed and (height > _BASE or length > (_NEAR if here else _BASE)):
        raise ValueError(f"{what}: got an outline whose ends are {np.hypot(length, height):.2g} chords apart; {_WHOLE}")
    base = height > _STEEP * length or bool((_turns(points)[[0, -1]] > _TURN).all())
    opened = not closed and here and (base or length <= _TOUCH)
    if not opened:
        order = (np.arange(len(points) + 1) + along[:, 0].argmax()) % len(points)
        points, along = points[order], along[order]
    steep = _UPRIGHT if opened else _STEEP
    first, last = _base(along, steep), len(points) - _base(along[::-1] * [1, -1], steep)
    return points[first:last]


def _base(along: np.ndarray, slope: float) -> int:
    """How many points stand on a base before the corner at its end; ``along`` ``(n, 2)`` begins at the tail."""
    edges = np.diff(along, axis=0)
    steep, size = np.abs(edges[:, 1]) > slope * np.abs(edges[:, 0]), np.hypot(*edges.T)
    turns = np.arctan2(_cross(edges[:-1], edges[1:]), (edges[:-1] * edges[1:]).sum(1))
    for number in range(1, len(edges)):
        if not steep[number - 1] or along[number, 0] < 1 - _NEAR:
            return 0
        bends = number == 1 and size[0] > max(_LONG * size[1], 10 * _TOUCH)
        if turns[number - 1] > _TURN or bends:
            return number
    return 0


def _checked(points: np.ndarray, what: str) -> np.ndarray:
    """The outline, if each of its sides runs along the chord and the upper one is above the lower."""
    line = chord(points)
    if not abs(line.angle) <= _TILT:
        raise ValueError(f"{what}: got an airfoil whose chord is turned by {line.angle:.0f} degrees; expected the nose "
                         "on the left and the trailing edge on the right; turn it, or mirror it, as it is meant")
    along = frame(points, line.tail, line.nose)
    upper, lower = along[: line.upper][::-1], along[line.upper :]
    for side in (upper, lower):
        back = np.maximum.accumulate(side[:, 0]) - side[:, 0]
        if back.max() > _BACK:
            x, y = points[(along == side[back.argmax()]).all(1)][0]
            raise ValueError(f"{what}: got an outline that turns back near ({x:.4g}, {y:.4g}); expected one "
                             "airfoil, each side from nose to tail; is there a stray point, or another element?")
    stations = np.sort(along[:, 0])
    gap = _height(upper, stations) - _height(lower, stations)
    if gap.min() < -_OVERLAP:
        x, y = points[along[:, 0].argsort()[gap.argmin()]]
        raise ValueError(f"{what}: got an outline that crosses itself near ({x:.4g}, {y:.4g}); expected the upper side "
                         "above the lower one; put the rows in order")
    return np.ascontiguousarray(points)


def _height(side: np.ndarray, stations: np.ndarray) -> np.ndarray:
    """A side's height ``(m,)`` at ``stations`` ``(m,)`` along the chord; it begins at the nose, (0, 0)."""
    return np.interp(stations, np.append(0.0, np.maximum.accumulate(side[:, 0])), np.append(0.0, side[:, 1]))


def _distinct(coordinates: ArrayLike, what: str) -> np.ndarray:
    """Finite points ``(n, 2)``, at least ten, without those that repeat the one before."""
    points = np.asarray(coordinates, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise ValueError(f"{what}: got numbers of size {points.shape}, {np.sum(~np.isfinite(points))} not finite; "
                         "expected finite points (n, 2); correct the rows")
    points = points[np.append(True, (np.diff(points, axis=0) != 0).any(1))] if len(points) else points
    if len(points) < _FEWEST:
        raise ValueError(f"{what}: got {len(points)} distinct points; expected at least {_FEWEST} rows of x and y; an "
                         "outline with so few points cannot be told apart from others: find a finer one")
    return points


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
