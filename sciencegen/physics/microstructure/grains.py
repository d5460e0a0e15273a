r"""Grains: the cells of points, each of one phase.

Poisson points have Voronoi cells; with a size of their own, Laguerre's, :math:`\arg\min_p |x - p|_M^2 - w_p`. Each
grain is of phase 1 with the probability of the fraction, so that the two-point function is that of one cell,
:math:`S_2(d) = \varphi^2 + \varphi (1 - \varphi) P(\text{same cell})`. Voronoi cells of density :math:`\lambda` have
:math:`2 \sqrt\lambda` of edge a unit area, hence :math:`\ell = \pi / 4 \sqrt\lambda`. "Spatial Tessellations" (Okabe
et al., 2000), https://doi.org/10.1002/9780470317013.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..fields import generator
from .family import Family, nearest
from .style import Style

__all__ = ["Grains"]


@dataclass(frozen=True)
class Grains(Family):
    """Two-phase Voronoi grains, or Laguerre ones; periodic.

    Arguments:
        spread: standard deviation of the weights of Laguerre cells over the area of a mean one; 0 for Voronoi. The
            length is then that of the Voronoi cells of as many points, and the interface somewhat shorter or longer.

    Raises:
        ValueError: a spread below zero.
    """

    spread: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.spread < math.inf:
            raise ValueError(f"got spread={self.spread}; expected a number of at least 0")

    def count(self, style: Style, grid: tuple[int, int]) -> Tensor:
        """How many points an image has in the mean, ``(B,)``."""
        return math.prod(grid) * (math.pi / 4 / style.length).square()

    def cells(self, style: Style, grid: tuple[int, int], seed: int = 0, first: int = 0) -> list[Tensor]:
        """Which grain each pixel is of, one ``(ny, nx)`` of whole numbers an image."""
        counts, roots = self.count(style, grid).tolist(), style.power(0.5).numpy()
        return [self._cells(generator(seed, first + i), counts[i], roots[i], grid) for i in range(len(style))]

    def _cells(self, rng: np.random.Generator, count: float, root: np.ndarray, grid: tuple[int, int]) -> Tensor:
        points = rng.random((max(int(rng.poisson(count)), 2), 2)) * grid
        weights = self.spread * math.prod(grid) / len(points) * rng.standard_normal(len(points))
        return torch.from_numpy(nearest(points, weights, root, grid)[0])

    def _draw(self, style: Style, grid: tuple[int, int], seed: int, first: int) -> Tensor:
        drawn = []
        for i, cells in enumerate(self.cells(style, grid, seed, first)):
            chances = torch.from_numpy(generator(seed, first + i, 1).random(int(cells.max()) + 1))
            drawn.append(chances[cells] < style.fraction[i])
        return torch.stack(drawn)
