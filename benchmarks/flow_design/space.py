"""Where all rows search: 22 numbers a wing, of unit scale, and how they become wings within the limits.

18 are coordinates of the CST shape along the principal axes of the airfoils that people drew, in standard deviations
from their mean; chord and place are counted from the middle of their ranges in halves of them, angles in 15 degrees.
Thickness and ranges are then mended (:meth:`sciencegen.airfoil.wings.Limits.within`); only the gap between wings
is left to the rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import xarray
from torch import Tensor

from sciencegen.airfoil import cst
from sciencegen.airfoil.wings import Limits, Wings, gaps

__all__ = ["NUMBERS", "Space"]

NUMBERS = cst.SIZE + 4
CLEAR = 1e-3  # of a gap, kept by who optimises
STEEP = 4.0  # what a unit outside costs, in lift over drag
DRAWN = 64  # wings that are tried at a time
ANGLE = 15.0  # degrees in a unit


@dataclass(frozen=True)
class Space:
    """Vectors ``x (*B, K * 22)`` and wings; ``mean (18,)`` and ``axes (18, 18)`` of drawn airfoils, in columns."""

    mean: Tensor
    axes: Tensor
    limits: Limits

    @classmethod
    def of(cls, airfoils: Path, limits: Limits) -> Space:
        """The space of the airfoils of a file (datasets/airfoils.nc) that are thick enough."""
        with xarray.open_dataset(airfoils) as data:
            shapes = torch.from_numpy(data["shape"].values[data["split"].values == "train"]).double()
        shapes = shapes[cst.max_thickness(shapes) >= limits.thickness]
        values, vectors = torch.linalg.eigh(torch.cov(shapes.T))
        return cls(shapes.mean(0), (vectors * values.clamp_min(1e-12).sqrt()).flip(-1), limits)

    def vector(self, wings: Wings) -> Tensor:
        """The numbers ``(*B, K * 22)`` of ``wings``: the inverse of :meth:`plain`."""
        shape = torch.linalg.solve(self.axes, (wings.shape.double() - self.mean)[..., None])[..., 0]
        place = torch.cat([wings.chord[..., None], wings.alpha[..., None], wings.centre], -1).double()
        middle, half, _ = self._ranges()
        return torch.cat([shape, (place - middle) / half], -1).flatten(-2)

    def plain(self, x: Tensor) -> Wings:
        """The wings of ``x``, whatever they are."""
        x = x.unflatten(-1, (-1, NUMBERS))
        middle, half, _ = self._ranges()
        place = middle + half * x[..., cst.SIZE :]
        return Wings(self.mean + x[..., : cst.SIZE] @ self.axes.T, place[..., 0], place[..., 1], place[..., 2:])

    def wings(self, x: Tensor) -> Wings:
        """The wings of ``x`` within all limits but the gap, differentiable."""
        return self.limits.within(self.plain(x))

    def outside(self, x: Tensor) -> Tensor:
        """How far ``x`` is outside, ``(*B,)``: beyond the ranges, and too near, each in its unit; 0 where allowed."""
        beyond = (x.unflatten(-1, (-1, NUMBERS))[..., cst.SIZE :].abs() - self._ranges()[2]).clamp_min(0).sum((-1, -2))
        wings = self.wings(x)
        if wings.chord.shape[-1] == 1:
            return beyond
        return beyond + 10 * (self.limits.gap + CLEAR - gaps(wings)).clamp_min(0).sum(-1)

    def draw(self, bodies: int, count: int, random: torch.Generator, alpha: tuple[float, float] = (-60.0, 60.0)
             ) -> Tensor:
        """``(count, K * 22)`` within the limits: shapes as the airfoils' Gaussian, the rest evenly, from below up.

        The first are the same whatever ``count``.
        """
        low, high = (a / ANGLE for a in alpha)
        found: list[Tensor] = []
        while sum(map(len, found)) < count:
            shape = torch.randn(DRAWN, bodies, cst.SIZE, generator=random, dtype=torch.float64)
            place = 2 * torch.rand(DRAWN, bodies, 4, generator=random, dtype=torch.float64) - 1
            place[..., 1] = low + (high - low) * (place[..., 1] + 1) / 2
            order = place[..., 3].argsort(-1)[..., None]
            x = torch.cat([shape, place.gather(1, order.expand_as(place))], -1).flatten(-2)
            found.append(x[self.outside(x) == 0])
        return torch.cat(found)[:count]

    def _ranges(self) -> tuple[Tensor, Tensor, Tensor]:
        """Of chord, angle, x and y, ``(4,)``: middles of the ranges, units, and how many units to either end."""
        (low, high), limits = self.limits.chord, self.limits
        middle = self.mean.new_tensor([(low + high) / 2, 0.0, 0.0, 0.0])
        unit = self.mean.new_tensor([(high - low) / 2, ANGLE, limits.x, limits.y])
        return middle, unit, self.mean.new_tensor([1.0, limits.alpha / ANGLE, 1.0, 1.0])
