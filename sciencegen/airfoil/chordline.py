r"""The chord of an airfoil: from the nose to the middle of the trailing edge.

The nose is the point farthest from the tail on a cubic spline through the given points: which points happen to be given
then hardly turns the chord. With it come coordinates :math:`(s, h)` along and across the chord, in chords.
"""

from typing import NamedTuple

import numpy as np
from scipy.interpolate import CubicSpline

__all__ = ["Chord", "chord", "frame"]

_FINE = 801
_SHORTEST = 1e-12  # of the outline: ends that differ by rounding are two points to a spline


class Chord(NamedTuple):
    """The chord of an outline: ``nose`` (2,), ``tail`` (2,), half way between the ends, and ``upper``.

    ``upper`` is the number of points before the nose.
    """

    nose: np.ndarray
    tail: np.ndarray
    upper: int

    @property
    def length(self) -> float:
        """In the unit of the outline."""
        return float(np.hypot(*(self.tail - self.nose)))

    @property
    def angle(self) -> float:
        """From the x axis, degrees."""
        return float(np.degrees(np.arctan2(*(self.tail - self.nose)[::-1])))


def chord(points: np.ndarray) -> Chord:
    """The chord of an outline ``(n, 2)`` in Selig's order."""
    tail = (points[0] + points[-1]) / 2
    edges = np.hypot(*np.diff(points, axis=0).T)
    along = np.append(0, np.cumsum(np.maximum(edges, _SHORTEST * edges.sum())))
    far = np.argmax(np.hypot(*(points - tail).T)).clip(1, len(points) - 2)
    stations = np.linspace(along[far - 1], along[far + 1], _FINE)
    near = CubicSpline(along, points)(stations)
    best = np.argmax(np.hypot(*(near - tail).T))
    return Chord(near[best], tail, int(np.searchsorted(along, stations[best], side="right")))


def frame(points: np.ndarray, tail: np.ndarray, nose: np.ndarray) -> np.ndarray:
    """Points ``(n, 2)`` along and across the chord, in chords: the nose at (0, 0), the tail at (1, 0)."""
    line = tail - nose
    turn = np.array([[line[0], -line[1]], [line[1], line[0]]]) / (line @ line)
    return (points - nose) @ turn
