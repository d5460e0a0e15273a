r"""The parts that are designed: airfoils in a stream, each with its shape, chord, angle of attack and place.

One description for whatever comes from a sample's image, from an optimiser's vector or from the training set, so that
all are built, kept within the same limits and judged alike. Lengths are in reference chords of the stream.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import xarray
from torch import Tensor

from ..physics import Outline, placed
from . import cst

__all__ = ["Limits", "Wings", "areas", "gaps", "noses"]


class Wings(NamedTuple):
    """``K`` airfoils a row: ``shape (*B, K, 18)`` in own chords (:mod:`sciencegen.airfoil.cst`), ``chord (*B, K)``,
    ``alpha (*B, K)`` in degrees, nose up, and ``centre (*B, K, 2)``, where mid-chord is."""

    shape: Tensor
    chord: Tensor
    alpha: Tensor
    centre: Tensor

    def outline(self, points: int = 101) -> Tensor:
        """The closed loops ``(*B, K, 2 points - 1, 2)`` in the stream's coordinates, from the trailing edge on."""
        loop = cst.outline(self.shape, points)
        middle = loop - loop.new_tensor([0.5, 0.0])
        return placed(self.chord[..., None, None] * middle, self.alpha, self.centre)

    @classmethod
    def of(cls, samples: xarray.Dataset) -> Wings:
        """The wings of a study's samples, dims ``sample, part``."""
        return cls(*(torch.tensor(samples[k].values) for k in cls._fields))

    def named(self) -> xarray.Dataset:
        """The inverse of :meth:`of`."""
        dims = {"shape": ("weight",), "chord": (), "alpha": (), "centre": ("axis",)}
        return xarray.Dataset({k: (("sample", "part", *dims[k]), getattr(self, k).numpy()) for k in dims})

    def where(self, kept: Tensor, other: Wings) -> Wings:
        """These in the rows that are ``kept (N,)``, ``other`` in the others; in these ones' precision."""
        pairs = ((a, b.to(a), kept.reshape(-1, *[1] * (a.ndim - 1))) for a, b in zip(self, other))
        return Wings(*(torch.where(mask, a, b) for a, b, mask in pairs))

    def row(self, index: int | slice | Tensor) -> Wings:
        """Some of the rows."""
        return Wings(*(part[index] for part in self))


@dataclass(frozen=True)
class Limits:
    """What wings must keep to; the training set's ranges by default.

    Arguments:
        thickness: least maximum thickness, own chords.
        chord: least and largest.
        alpha: largest angle of attack, degrees, either way.
        x, y: how far mid-chord may be from the origin, along and across the stream.
        gap: least distance between two wings.
        area: least of each wing, square chords.
        nose: least radius of the leading edge, own chords. A nose much smaller than a cell of a grid lets the stream
            through, and a judge on that grid makes too much of it; half of all airfoils so thick have less than 0.012.
    """

    thickness: float = 0.1
    chord: tuple[float, float] = (0.7, 1.1)
    alpha: float = 60.0
    x: float = 0.25
    y: float = 0.5
    gap: float = 0.1
    area: float = 0.0
    nose: float = 0.01

    def margins(self, wings: Wings) -> Tensor:
        """``(*B, m)``, positive where a limit is kept; differentiable.

        For each wing thickness, least thickness between the ends (sides that cross), chord and angle and place from
        either side, area, nose; then the gap of each pair. In own chords, chords, square chords, units of 60 degrees.
        """
        low, high = self.chord
        own = [cst.max_thickness(wings.shape) - self.thickness, cst.least_thickness(wings.shape),
               wings.chord - low, high - wings.chord, (self.alpha - wings.alpha.abs()) / 60,
               self.x - wings.centre[..., 0].abs(), self.y - wings.centre[..., 1].abs(), areas(wings) - self.area,
               noses(wings) - self.nose]
        each = torch.stack(own, -1).flatten(-2)
        return torch.cat([each, gaps(wings) - self.gap], -1) if wings.chord.shape[-1] > 1 else each

    def within(self, wings: Wings) -> Wings:
        r"""Near ``wings``, ones that keep all limits but gap and area; differentiable.

        Thickness is linear in a shape, so the least share of a lens, :math:`b(x) = 2 \sqrt x (1 - x)`, is known with
        which the sides do not cross, somewhere the thickness is enough and the nose as round as asked (of two sides
        :math:`\pm a \sqrt x` its radius is :math:`a^2 / 2`); the rest is taken at the ends of its range.
        """
        shape = torch.cat([wings.shape[..., :-1], wings.shape[..., -1:].clamp_min(0)], -1)
        lens = torch.cat([shape.new_ones(8), -shape.new_ones(8), shape.new_zeros(2)])
        x = cst.cosine(101, shape)[1:-1]
        have, more = cst.thickness(shape, x), cst.thickness(lens, x)
        share = torch.maximum((-have / more).amax(-1), ((self.thickness - have) / more).amin(-1))
        share = torch.maximum(share, (2 * self.nose) ** 0.5 - _opening(shape)).clamp_min(0)
        place = [part.clamp(-end, end) for part, end in zip(wings.centre.unbind(-1), (self.x, self.y))]
        return Wings(shape + share[..., None] * lens, wings.chord.clamp(*self.chord),
                     wings.alpha.clamp(-self.alpha, self.alpha), torch.stack(place, -1))

    def unmet(self, wings: Wings, tolerance: float = 2e-3) -> np.ndarray:
        """``(N,)`` texts: whether ``(N, K)`` wings are too small or too near each other; empty where neither."""
        small = (areas(wings) < self.area - tolerance).any(-1).numpy()
        reason = np.where(small, "smaller than its least area", "").astype(object)
        if wings.chord.shape[-1] > 1:
            reason[(gaps(wings) < self.gap - tolerance).any(-1).numpy()] = "bodies too near each other"
        return reason

    def kept(self, wings: Wings, tolerance: float = 2e-3) -> Tensor:
        """``(*B,)``: whether all limits are kept, up to ``tolerance``."""
        return (self.margins(wings) >= -tolerance).all(-1)


def areas(wings: Wings) -> Tensor:
    """``(*B, K)``, square chords."""
    x, y = cst.outline(wings.shape, 41).unbind(-1)
    return wings.chord**2 * ((x * y.roll(-1, -1) - x.roll(-1, -1) * y).sum(-1) / 2).abs()


def noses(wings: Wings) -> Tensor:
    """Radii of the leading edges ``(*B, K)``, own chords; zero where the sides cross there."""
    return _opening(wings.shape).clamp_min(0) ** 2 / 2


def _opening(shape: Tensor) -> Tensor:
    """Half of what the sides of ``shape (*B, 18)`` part by at the nose, over the root of the distance from it."""
    upper, lower, _, _ = cst.split(shape)
    return (upper[..., 0] - lower[..., 0]) / 2


def gaps(wings: Wings) -> Tensor:
    """The distances ``(*B, pairs)`` between wings, negative by the depth where they overlap."""
    loops = wings.outline(41)
    flat, found = loops.reshape(-1, *loops.shape[-3:]), []
    for i, j in torch.combinations(torch.arange(loops.shape[-3])).tolist():
        found.append(torch.stack([torch.minimum(Outline(row[i])(row[j]).min(), Outline(row[j])(row[i]).min())
                                  for row in flat]))
    return torch.stack(found, -1).reshape(*loops.shape[:-3], -1)
