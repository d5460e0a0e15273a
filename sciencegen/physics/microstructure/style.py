r"""Style of a microstructure: how long, in which direction, how stretched, and how much of it is phase 1.

Every family of this package is isotropic in a stretched frame. With the angle :math:`\theta` from the x axis, the
aspect :math:`a` and the directions along and across, a distance :math:`d` there is

.. math:: |d|_M^2 = d^T M d = (d \cdot e_\parallel)^2 / a + a \, (d \cdot e_\perp)^2 , \qquad \det M = 1 ,

so that lengths along the angle are :math:`a` times those across it, and areas stay as they are. The *length* is the
correlation length :math:`\ell` of the interface, by which the two-point function of phase 1, of fraction
:math:`\varphi`, falls at the origin:

.. math:: S_2(d) = \varphi^2 + \varphi (1 - \varphi) (1 - |d|_M / \ell + \ldots) .

It is the half of the harmonic mean of both phases' mean chords, :math:`1 / \ell = 1 / c_0 + 1 / c_1`, and has one
meaning for grains, discs and labyrinths. "Scattering by an Inhomogeneous Solid" (Debye & Bueche, 1949),
https://doi.org/10.1063/1.1698419.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Style"]


@dataclass(frozen=True)
class Style:
    """Length, angle, aspect and fraction of structures, each ``(B,)`` in float64; numbers are broadcast.

    Arguments:
        length: correlation length of the interface, pixels.
        angle: of the long direction from the x axis (the last one) towards the y axis, degrees; of period 180.
        aspect: lengths along that direction over lengths across it, one or more.
        fraction: share of phase 1, between 0 and 1.

    Raises:
        ValueError: a number that is out of its range.
    """

    length: Tensor
    angle: Tensor
    aspect: Tensor
    fraction: Tensor

    def __post_init__(self) -> None:
        names = ("length", "angle", "aspect", "fraction")
        given = [torch.as_tensor(getattr(self, name), dtype=torch.float64) for name in names]
        for name, value in zip(names, torch.broadcast_tensors(*(v.reshape(-1) for v in given))):
            object.__setattr__(self, name, value)
        possible = (self.length > 0) & (self.aspect >= 1) & (self.fraction > 0) & (self.fraction < 1)
        values = torch.stack([getattr(self, name) for name in names], -1)
        if not bool((possible & values.isfinite().all(-1)).all()):
            wrong = values[~(possible & values.isfinite().all(-1))][0].tolist()
            raise ValueError(f"got a length, angle, aspect and fraction of {wrong}; expected a length above 0, an "
                             "aspect of at least 1, a fraction between 0 and 1, all finite")

    def __len__(self) -> int:
        return len(self.length)

    def __getitem__(self, key: int | slice | Tensor) -> Style:
        """Some of the styles."""
        return Style(self.length[key], self.angle[key], self.aspect[key], self.fraction[key])

    def power(self, exponent: float) -> Tensor:
        """``M^exponent (B, 2, 2)`` of the metric, for directions ``(y, x)``."""
        angle = torch.deg2rad(self.angle)
        along = torch.stack([angle.sin(), angle.cos()], -1)
        across = torch.stack([angle.cos(), -angle.sin()], -1)
        outer = lambda e: e[:, :, None] * e[:, None, :]
        scale = self.aspect[:, None, None] ** exponent
        return outer(along) / scale + outer(across) * scale

    def distance(self, offsets: Tensor) -> Tensor:
        """``|d|_M`` of ``offsets (*N, 2)`` of ``(y, x)`` in the stretched frame, ``(B, *N)``."""
        squares = torch.einsum("...i,bij,...j->b...", offsets.double(), self.power(1.0), offsets.double())
        return squares.clamp_min(0).sqrt()

    def waves(self, grid: tuple[int, int]) -> Tensor:
        """Squares ``k^T M^{-1} k`` of a periodic grid's wave numbers, ``(B, ny, nx // 2 + 1)``."""
        ky, kx = (2 * math.pi * torch.fft.fftfreq(n, dtype=torch.float64) for n in grid)
        k = torch.stack(torch.meshgrid(ky, kx[: grid[1] // 2 + 1].abs(), indexing="ij"), -1)
        return torch.einsum("yxi,bij,yxj->byx", k, self.power(-1.0), k)

    @property
    def stretch(self) -> Tensor:
        """``log(aspect) (cos 2 angle, sin 2 angle)``, ``(B, 2)``: smooth also where nothing is stretched."""
        twice = torch.deg2rad(2 * self.angle)
        return self.aspect.log()[:, None] * torch.stack([twice.cos(), twice.sin()], -1)

    @classmethod
    def stretched(cls, length: Tensor, stretch: Tensor, fraction: Tensor) -> Style:
        """The inverse of :attr:`stretch`."""
        angle = torch.rad2deg(torch.atan2(stretch[..., 1], stretch[..., 0]) / 2)
        return cls(length, angle % 180, stretch.norm(dim=-1).exp(), fraction)
