r"""Spinodal decomposition: the labyrinths into which a mixture falls apart, by the equation of Cahn and Hilliard.

.. math:: \partial_t c = \Delta (c^3 - c - \Delta c)

from small white noise about the mean :math:`2 \varphi - 1`, in the stretched frame, where the Laplacian is
:math:`-k^T M^{-1} k`. Steps are spectral and semi-implicit, with Eyre's splitting: stable for any step. The time is
fixed, and the grid's spacing is what gives the length that is asked for, by a calibration over the fractions that was
measured once; the phase is where :math:`c` exceeds the value that gives the fraction, of each image exactly: mass is
conserved. "Free Energy of a Nonuniform System" (Cahn & Hilliard, 1958), https://doi.org/10.1063/1.1744102;
"Unconditionally gradient stable time marching the Cahn-Hilliard equation" (Eyre, 1998).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from .family import Family, noise
from .style import Style

__all__ = ["Spinodal"]

STEP, STEPS, START = 0.5, 80, 0.1  # of time; standard deviation of the start
SHARPNESS = 2.0  # of Eyre's splitting
LENGTH, LATE = 3.83, 7000.0  # of the interface at the end, in the equation's unit: L + l (fraction - 1/2)^6


@dataclass(frozen=True)
class Spinodal(Family):
    """Spinodal structures: of one length scale, connected at one half, droplets towards the ends of its fractions."""

    fractions: ClassVar[tuple[float, float]] = (0.3, 0.7)

    def spacing(self, style: Style) -> Tensor:
        """Width ``(B,)`` of a pixel in the equation's unit of length."""
        return (LENGTH + LATE * (style.fraction - 0.5) ** 6) / style.length

    def concentration(self, style: Style, white: Tensor) -> Tensor:
        """The field ``c (B, ny, nx)`` at the end, from white noise of that shape."""
        grid = (white.shape[-2], white.shape[-1])
        k2 = (style.waves(grid) / self.spacing(style)[:, None, None] ** 2).to(white)
        below = 1 + STEP * k2 * (k2 + SHARPNESS)
        mean = (2 * style.fraction - 1)[:, None, None].to(white)
        c = mean + START * (white - white.mean((-2, -1), keepdim=True))
        for _ in range(STEPS):
            free = torch.fft.rfft2(c**3 - (1 + SHARPNESS) * c)
            c = torch.fft.irfft2((torch.fft.rfft2(c) - STEP * k2 * free) / below, s=grid)
        return c

    def _draw(self, style: Style, grid: tuple[int, int], seed: int, first: int) -> Tensor:
        c = self.concentration(style, noise(len(style), grid, seed, first).float())
        rank = c.flatten(1).argsort(-1).argsort(-1).reshape(c.shape)  # which share of an image is above a pixel
        return rank >= ((1 - style.fraction) * grid[0] * grid[1]).round()[:, None, None]
