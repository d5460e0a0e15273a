r"""Level sets as what a design is made of: white noise, coloured, and cut.

The state is white noise, a number a pixel, and what is added to the threshold: both normal, so that the prior is known
in closed form, and a sample of it is exact and costs nothing. Styles that differ from place to
place colour the *same* noise, each by its own spectrum, and are blended by weights :math:`w_s(x)`,

.. math:: f(x) = \sum_s w_s(x) f_s(x) \Big/ \sqrt{\sum_{st} w_s w_t \langle f_s f_t \rangle} ,

so that the field goes over from one to the other without a seam, and has the unit variance of its threshold anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ...layout import Layout, Variable
from ...physics.microstructure import LevelSet, Style
from ...random import Streams
from .goals import Goals
from .images import Limits, cut

__all__ = ["LevelSets"]

FREE, TOLD = 0.5, 0.1  # standard deviation of the threshold, in the field's: free, and where the fraction is told
FAMILY, FLOOR = LevelSet(), 2**40  # and the seeds of samples to compare with


@dataclass(frozen=True)
class LevelSets:
    """Images of Gaussian level sets of one style, or of several by a map.

    Arguments:
        grid: rows and columns.
        style: one, or ``S`` of them.
        weights: of the styles in each pixel, ``(S, ny, nx)``, one altogether; None for one style everywhere.
        limits: what images keep to.
        loose: whether the fraction is free: where nothing says what it is.
    """

    grid: tuple[int, int]
    style: Style
    weights: Tensor | None = None
    limits: Limits = field(default_factory=Limits)
    loose: bool = True

    @property
    def layout(self) -> Layout:
        """``noise (ny, nx)`` and the ``level`` that is added to the threshold."""
        noise = Variable(self.grid, dims=("y", "x"))
        return Layout(noise=noise, level=Variable((), scale=FREE if self.loose else TOLD))

    def draw(self, seeds: Tensor) -> Tensor:
        """States of the prior ``(B, d)``, one of each seed."""
        return Streams(seeds).normal(self.layout.size, torch.float32)

    def begin(self, seeds: Tensor, goals: Goals) -> tuple[Tensor, int, int]:
        """:meth:`draw`, which takes no solves and no calls of a network."""
        return self.draw(seeds), 0, 0

    def family_images(self, count: int) -> Tensor:
        """Images of the family that nothing guides, to compare with."""
        return self.phase(self.draw(torch.arange(count) + FLOOR), 1.0)

    def field(self, noise: Tensor) -> Tensor:
        """The Gaussian field ``(*B, ny, nx)`` of white noise; of unit variance in every pixel."""
        roots = FAMILY.spectrum(self.style, self.grid).sqrt().to(noise)
        made = torch.fft.irfft2(roots * torch.fft.rfft2(noise)[..., None, :, :], s=self.grid)
        if self.weights is None:
            return made[..., 0, :, :]
        weights = self.weights.to(noise)
        alike = torch.fft.irfft2(roots[:, None] * roots, s=self.grid)[..., 0, 0]
        spread = torch.einsum("syx,st,tyx->yx", weights, alike, weights).sqrt()
        return (weights * made).sum(-3) / spread

    def height(self, x: Tensor) -> Tensor:
        """The field above its threshold, ``(*B, ny, nx)``, of states ``(*B, d)``."""
        parts = self.layout.unpack(x)
        return self.field(parts["noise"]) - self.threshold.to(x) - parts["level"][..., None, None]

    def phase(self, x: Tensor, width: float) -> Tensor:
        """Images ``(*B, ny, nx)`` of states ``(*B, d)``, with slopes of ``width`` (:func:`.images.cut`)."""
        return self.limits.kept(cut(self.height(x), width))

    @property
    def threshold(self) -> Tensor:
        """Where the field is cut by the styles' fractions, ``(1, 1)`` or ``(ny, nx)``."""
        each = FAMILY.threshold(self.style)[:, None, None]
        return each[0] if self.weights is None else (self.weights * each).sum(0)
