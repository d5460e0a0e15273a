r"""From measured coordinates to a CST shape, by linear least squares.

The outline is moved, turned and scaled so that its leading edge is at 0 and the middle of its trailing edge at (1, 0).
The leading edge is the point farthest from the trailing edge on a cubic spline through the given points: which points
happen to be given then hardly turns the chord. Because the surface is linear in the 18 weights, the fit is one small
linear problem. The error that is reported is geometric: the distance from each given point to the fitted outline, in
chords.
"""

from typing import NamedTuple

import numpy as np
import torch
from scipy.interpolate import CubicSpline
from scipy.linalg import lstsq
from torch import Tensor

from sciencegen.airfoil import cst

_FINE = 801


class Fit(NamedTuple):
    """A shape (18,) in float64 and the distances from the given points to its outline, in chords."""

    shape: Tensor
    rms: float
    largest: float


def normalize(coordinates: np.ndarray) -> np.ndarray:
    """Moves, turns and scales an outline (n, 2) in Selig order to a unit chord along x.

    Raises:
        ValueError: where the outline is not (n, 2), has no chord, or runs the other way round.
    """
    return _unit_chord(_checked(coordinates))[0]


def fit(coordinates: np.ndarray | Tensor) -> Fit:
    """The CST shape nearest to an outline, in the least-squares sense.

    Where the best trailing-edge thickness is negative (sides that cross at the tail), it is set to 0 and the other
    17 numbers are fitted again.

    Args:
        coordinates: (n, 2) in Selig order (trailing edge, upper side, leading edge, lower side), any unit.

    Raises:
        ValueError: where the coordinates are no outline in Selig order with at least 10 points.
    """
    points, upper = _unit_chord(_checked(coordinates))
    columns, heights = _equations(points, upper)
    weights = lstsq(columns, heights)[0]
    if weights[-1] < 0:
        weights = np.append(lstsq(columns[:, :-1], heights)[0], 0.0)
    shape = torch.from_numpy(weights)
    distance = _distance(points, cst.outline(shape, 401).numpy())
    return Fit(shape, float(np.sqrt(np.mean(distance**2))), float(distance.max()))


def _unit_chord(points: np.ndarray) -> tuple[np.ndarray, int]:
    """The outline along a unit chord, and how many of its points come before the leading edge."""
    tail = (points[0] + points[-1]) / 2
    nose, upper = _leading_edge(points, tail)
    chord = tail - nose
    turn = np.array([[chord[0], -chord[1]], [chord[1], chord[0]]]) / (chord @ chord)
    return (points - nose) @ turn, upper


def _leading_edge(points: np.ndarray, tail: np.ndarray) -> tuple[np.ndarray, int]:
    """The point of a spline over arc length that is farthest from the tail, and how many points come before it."""
    along = np.append(0, np.cumsum(np.hypot(*np.diff(points, axis=0).T)))
    far = np.argmax(np.hypot(*(points - tail).T)).clip(1, len(points) - 2)
    stations = np.linspace(along[far - 1], along[far + 1], _FINE)
    near = CubicSpline(along, points)(stations)
    best = np.argmax(np.hypot(*(near - tail).T))
    return near[best], int(np.searchsorted(along, stations[best], side="right"))


def _equations(points: np.ndarray, upper: int) -> tuple[np.ndarray, np.ndarray]:
    """One row per point, one column per weight: the surface is linear, so each column is a unit shape's surface."""
    x = torch.from_numpy(points[:, 0].clip(0, 1))
    above, below = cst.surfaces(torch.eye(cst.SIZE, dtype=torch.float64), x)
    return np.where(np.arange(len(points)) < upper, above.numpy(), below.numpy()).T, points[:, 1]


def _distance(points: np.ndarray, loop: np.ndarray) -> np.ndarray:
    """The distance (n,) from each point (n, 2) to an open polyline (m, 2)."""
    start, edge = loop[:-1], np.diff(loop, axis=0)
    offset = points[:, None] - start
    along = np.einsum("nmi,mi->nm", offset, edge) / np.maximum(np.einsum("mi,mi->m", edge, edge), 1e-300)
    gap = offset - along.clip(0, 1)[..., None] * edge
    return np.sqrt(np.einsum("nmi,nmi->nm", gap, gap).min(1))


def _checked(coordinates: np.ndarray) -> np.ndarray:
    points = np.asarray(coordinates, dtype=np.float64)
    points = points[np.append(True, (np.diff(points, axis=0) != 0).any(1))] if points.ndim == 2 else points
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < 10 or not np.isfinite(points).all():
        raise ValueError(
            f"got coordinates of size {points.shape} ({np.isnan(points).sum()} NaN); expected at least 10 finite "
            "points (n, 2); read them with dat.read_dat, which names the fault of a bad file"
        )
    x, y = points.T
    if np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)) <= 0:
        raise ValueError(
            "got an outline that runs clockwise or encloses no area; expected Selig order (trailing edge, upper side, "
            "leading edge, lower side); reverse it with coordinates[::-1]"
        )
    return points
