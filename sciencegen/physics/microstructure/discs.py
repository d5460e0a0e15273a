r"""Hard discs: voids or fibres that do not overlap, of sizes that vary, added one after another.

Radii are log-normal with a coefficient of variation :math:`c`; as many are drawn as fill the fraction, and placed at
random from the largest down (random sequential addition) where they overlap none that is there. In the stretched
frame they are discs, in the image aligned ellipses of one shape. Interfaces have the length :math:`2 \pi R` a disc, so
that :math:`\ell = \pi (1 - \varphi) \langle R^2 \rangle / 2 \langle R \rangle`. "Random sequential adsorption" (Evans,
1993), https://doi.org/10.1103/RevModPhys.65.1281.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from scipy.spatial.distance import cdist
from torch import Tensor

from ..fields import generator
from .family import Family, copies, nearest
from .style import Style

__all__ = ["Discs"]

FIRST, TURNS = 8, 13  # draws of a disc's place at once, and how often twice as many


@dataclass(frozen=True)
class Discs(Family):
    """Hard discs of phase 1 in a matrix of phase 0; periodic.

    Arguments:
        variation: coefficient of variation of the radii; 0 for equal ones.

    Raises:
        ValueError: a variation that is not from 0 to 1; of :meth:`draw`, discs that did not find room.
    """

    variation: float = 0.25
    fractions: ClassVar[tuple[float, float]] = (0.05, 0.45)

    def __post_init__(self) -> None:
        if not 0 <= self.variation <= 1:
            raise ValueError(f"got variation={self.variation}; expected a number from 0 to 1")

    def radius(self, style: Style) -> Tensor:
        """Mean radius ``(B,)`` of the discs, pixels."""
        return 2 * style.length / (math.pi * (1 - style.fraction) * (1 + self.variation**2))

    def discs(self, style: Style, grid: tuple[int, int], seed: int = 0, first: int = 0
              ) -> list[tuple[np.ndarray, np.ndarray]]:
        """Places ``(n, 2)`` of ``(y, x)`` and radii ``(n,)`` of each image's discs, the largest first."""
        mean, roots = self.radius(style).tolist(), style.power(0.5).numpy()
        drawn = []
        for i in range(len(style)):
            rng = generator(seed, first + i)
            radii = self._radii(rng, mean[i], float(style.fraction[i]) * math.prod(grid))
            drawn.append((_placed(rng, radii, roots[i], grid), radii))
        return drawn

    def _radii(self, rng: np.random.Generator, mean: float, area: float) -> np.ndarray:
        """Radii of discs whose area is all that is asked for, the last of them rounded off, falling."""
        sigma = math.sqrt(math.log1p(self.variation**2))
        expected = math.pi * mean**2 * (1 + self.variation**2)
        draws = mean * np.exp(sigma * rng.standard_normal(int(2 * area / expected) + 16) - sigma**2 / 2)
        total = np.cumsum(math.pi * draws**2)
        count = max(int(np.searchsorted(total, area)), 1)
        count += int(total[count] - area < area - total[count - 1])
        return np.sort(draws[:count])[::-1] * math.sqrt(area / total[count - 1])

    def _draw(self, style: Style, grid: tuple[int, int], seed: int, first: int) -> Tensor:
        roots = style.power(0.5).numpy()
        drawn = [nearest(places, radii**2, roots[i], grid)[1] < 0
                 for i, (places, radii) in enumerate(self.discs(style, grid, seed, first))]
        return torch.from_numpy(np.stack(drawn))


def _placed(rng: np.random.Generator, radii: np.ndarray, root: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Places of discs, each the first of its draws at which it overlaps none before it."""
    places, there = np.empty((0, 2)), np.empty((0, 2))
    for k, radius in enumerate(radii):
        for turn in range(TURNS):
            tried = rng.random((FIRST * 2**turn, 2)) * grid
            free = (cdist(tried @ root, there) >= np.tile(radii[:k], 9) + radius).all(1)
            if free.any():
                break
        else:
            raise ValueError(f"got {len(radii)} discs, of which {k} found room; expected a smaller fraction, or a "
                             "larger grid or shorter length")
        places = np.append(places, tried[free.argmax()][None], 0)
        there = copies(places, root, grid)
    return places
