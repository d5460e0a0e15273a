r"""From measured coordinates to a CST shape, by linear least squares.

The outline is moved, turned and scaled so that its leading edge is at 0 and the middle of its trailing edge at (1, 0)
(:mod:`sciencegen.airfoil.chordline`). Because the surface is linear in the 18 weights, the fit is one small linear
problem. The error that is reported is geometric: the distance from each given point to the fitted outline, in chords.

A fit is refused where its rms error is above :data:`LARGEST_RMS` = 0.005 chords. Of the 2,165 outlines of the UIUC
collection half are within 0.00013, 99 % within 0.0006 and all within 0.003; what lies beyond is no airfoil of 18
numbers, and its shape, thickness and drag would be those of another one.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.linalg import lstsq
from torch import Tensor

from sciencegen.airfoil import cst
from sciencegen.airfoil.chordline import chord, frame
from sciencegen.airfoil.outline import selig

__all__ = ["LARGEST_RMS", "Fit", "fit", "normalize"]

LARGEST_RMS = 0.005  # chords


class Fit(NamedTuple):
    """A shape (18,) in float64 and the distances from the given points to its outline, in chords."""

    shape: Tensor
    rms: float
    largest: float


def normalize(coordinates: ArrayLike) -> np.ndarray:
    """Moves, turns and scales an outline (n, 2) to a unit chord along x, in Selig order.

    Raises:
        ValueError: where the coordinates are no outline of an airfoil (:func:`sciencegen.airfoil.outline.selig`).
    """
    points = selig(coordinates)
    line = chord(points)
    return frame(points, line.tail, line.nose)


def fit(coordinates: ArrayLike | Tensor) -> Fit:
    """The CST shape nearest to an outline, in the least-squares sense.

    Where the best trailing-edge thickness is negative (sides that meet before the tail), it is set to 0 and the other
    17 numbers are fitted again.

    Arguments:
        coordinates: (n, 2) in any order that :func:`sciencegen.airfoil.outline.selig` takes, any unit.

    Raises:
        ValueError: where the coordinates are no outline of an airfoil, or the rms error is above 0.005 chords.
    """
    points = selig(coordinates)
    line = chord(points)
    points = frame(points, line.tail, line.nose)
    columns, heights = _equations(points, line.upper)
    weights = lstsq(columns, heights)[0]
    if weights[-1] < 0:
        weights = np.append(lstsq(columns[:, :-1], heights)[0], 0.0)
    shape = torch.from_numpy(weights)
    distance = _distance(points, cst.outline(shape, 401).numpy())
    found = Fit(shape, float(np.sqrt(np.mean(distance**2))), float(distance.max()))
    if not found.rms <= LARGEST_RMS:
        raise ValueError(f"got an outline {found.rms:.2g} chords (rms) from the nearest shape of {cst.SIZE} numbers, "
                         f"and {found.largest:.2g} at the worst point; expected at most {LARGEST_RMS:g} (rms); use an "
                         "airfoil with smooth sides")
    return found


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
