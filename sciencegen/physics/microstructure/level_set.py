r"""Gaussian level sets: phase 1 is where a periodic Gaussian field exceeds a threshold.

The field has unit variance and the correlation :math:`\rho(d) = \exp(-|d|_M^2 / 2 b^2)`, wrapped round the grid; with
the threshold :math:`t` of the fraction, the two-point function is the integral of Plackett and, at one half, the
arcsine law:

.. math:: S_2(d) = \varphi^2 + \frac{1}{2 \pi} \int_0^{\arcsin \rho(d)} e^{-t^2 / (1 + \sin \theta)} d\theta , \qquad
          S_2(d) = \tfrac14 + \tfrac{1}{2 \pi} \arcsin \rho(d) \quad (\varphi = \tfrac12) .

Rice's rate of crossings ties the field's length to the interface's: :math:`\ell = 2 \pi b \varphi (1 - \varphi)
e^{t^2 / 2}`. "Statistical reconstruction of three-dimensional porous media from two-dimensional images" (Roberts,
1997), https://doi.org/10.1103/PhysRevE.56.3203.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .family import Family, noise
from .style import Style

__all__ = ["LevelSet"]

NODES = 48  # of the quadrature of Plackett's integral


@dataclass(frozen=True)
class LevelSet(Family):
    """Gaussian level sets: smooth labyrinths at one half, smooth islands at other fractions."""

    def threshold(self, style: Style) -> Tensor:
        """Where the field is cut, ``(B,)``."""
        return torch.special.ndtri(1 - style.fraction)

    def width(self, style: Style) -> Tensor:
        """The length ``b (B,)`` of the field, pixels."""
        spread = 2 * math.pi * style.fraction * (1 - style.fraction)
        return style.length / spread * torch.exp(-self.threshold(style).square() / 2)

    def spectrum(self, style: Style, grid: tuple[int, int]) -> Tensor:
        """Variance of each mode of a grid, ``(B, ny, nx // 2 + 1)``: the transform of :meth:`correlation`."""
        modes = torch.exp(-self.width(style)[:, None, None].square() * style.waves(grid) / 2)
        return modes / torch.fft.irfft2(modes, s=grid)[:, :1, :1]

    def correlation(self, style: Style, grid: tuple[int, int]) -> Tensor:
        """Correlation of the field over all lags, ``(B, ny, nx)``; one at the origin."""
        return torch.fft.irfft2(self.spectrum(style, grid), s=grid)

    def field(self, style: Style, white: Tensor) -> Tensor:
        """The Gaussian field ``(B, ny, nx)`` that white noise of that shape gives; linear in it."""
        grid = (white.shape[-2], white.shape[-1])
        return torch.fft.irfft2(self.spectrum(style, grid).sqrt().to(white) * torch.fft.rfft2(white), s=grid)

    def two_point(self, style: Style, grid: tuple[int, int]) -> Tensor:
        """The two-point function of phase 1 over all lags, ``(B, ny, nx)``, exactly that of the grid."""
        angle = torch.asin(self.correlation(style, grid).clamp(-1, 1))[..., None]
        nodes, weights = (torch.from_numpy(v) for v in np.polynomial.legendre.leggauss(NODES))
        cut = self.threshold(style).square()[:, None, None, None]
        inside = torch.exp(-cut / (1 + torch.sin(angle * (nodes + 1) / 2)))
        area = (inside * weights).sum(-1) * angle[..., 0] / 2
        return style.fraction[:, None, None] ** 2 + area / (2 * math.pi)

    def _draw(self, style: Style, grid: tuple[int, int], seed: int, first: int) -> Tensor:
        return self.field(style, noise(len(style), grid, seed, first)) > self.threshold(style)[:, None, None]
