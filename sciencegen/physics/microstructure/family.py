r"""Families of microstructures: laws of two-phase images whose statistics are known.

A family draws periodic images ``phase (B, ny, nx)`` of 0 and 1 for styles (:mod:`.style`). Image ``i`` of a seed is
the same whatever the count or batch in which images are drawn. "Random Heterogeneous Materials" (Torquato, 2002),
https://doi.org/10.1007/978-1-4757-6355-3.
"""

from __future__ import annotations

import abc
import itertools
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from ..fields import generator
from .style import Style

__all__ = ["Family", "copies", "nearest", "noise"]


@dataclass(frozen=True)
class Family(abc.ABC):
    """A law of periodic two-phase images.

    Attributes:
        fractions: of phase 1 that it can have, least and most.
    """

    fractions: ClassVar[tuple[float, float]] = (0.2, 0.8)

    def draw(self, style: Style, grid: tuple[int, int] = (64, 64), seed: int = 0, first: int = 0) -> Tensor:
        """Images ``first, first + 1, ...`` of a seed, one of each style: ``(B, ny, nx)`` of 0 and 1, float32.

        ValueError for a fraction that the family does not have, or a grid that is no grid.
        """
        low, high = self.fractions
        if len(grid) != 2 or min(grid) < 4:
            raise ValueError(f"got a grid of {tuple(grid)}; expected rows and columns, at least 4 of each")
        if not len(style):
            return torch.empty(0, *grid)
        if not low <= float(style.fraction.min()) <= float(style.fraction.max()) <= high:
            raise ValueError(f"got fractions from {float(style.fraction.min()):.3g} to "
                             f"{float(style.fraction.max()):.3g}; expected {low} to {high} for {type(self).__name__}")
        return self._draw(style, tuple(grid), seed, first).float()

    @abc.abstractmethod
    def _draw(self, style: Style, grid: tuple[int, int], seed: int, first: int) -> Tensor:
        """:meth:`draw`, of what it has checked; of any type."""


def noise(count: int, grid: tuple[int, int], seed: int, first: int) -> Tensor:
    """White noise ``(count, ny, nx)`` in float64 for images ``first, first + 1, ...`` of a seed."""
    return torch.stack([torch.from_numpy(generator(seed, first + i).standard_normal(grid)) for i in range(count)])


def copies(points: np.ndarray, root: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Points ``(n, 2)`` of ``(y, x)`` with their eight periodic copies, in the stretched frame: ``(9 n, 2)``."""
    shifts = np.array(list(itertools.product((-1, 0, 1), repeat=2))) * grid
    return (points + shifts[:, None]).reshape(-1, 2) @ root


def nearest(points: np.ndarray, weights: np.ndarray, root: np.ndarray, grid: tuple[int, int]
            ) -> tuple[np.ndarray, np.ndarray]:
    r"""Of each pixel the point :math:`p` of the least power :math:`|x - p|_M^2 - w_p`, and that power, ``(ny, nx)``.

    A power diagram is a Voronoi diagram of one more dimension, in which a point of weight :math:`w` is lifted by
    :math:`\sqrt{w_\max - w}`: a search tree finds both.
    """
    lifted = np.sqrt(weights.max() - weights)
    tree = cKDTree(np.column_stack([copies(points, root, grid), np.tile(lifted, 9)]))
    places = np.stack(np.meshgrid(*map(np.arange, grid), indexing="ij"), -1).reshape(-1, 2) @ root
    far, which = tree.query(np.column_stack([places, np.zeros(len(places))]))
    return (which % len(points)).reshape(grid), (far**2 - weights.max()).reshape(grid)
