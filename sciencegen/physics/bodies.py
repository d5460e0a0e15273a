r"""Bodies in a flow: their signed distance, and the moments of a kernel that put them on a grid.

A body is any function of points ``(..., 2)`` that returns their signed distance ``(*B, ...)`` to its surface, negative
inside, in the length unit of the flow: :class:`Outline` for closed polygons, :class:`Circle`, or one's own. What a flow
asks of it is that the distance is right near the surface and never larger than the true one farther away.

Boundary data immersion convolves the equations of the fluid and of the body with a kernel of half-width
:math:`\epsilon` about the surface. With :math:`s = d / \epsilon` in :math:`[-1, 1]`, the zeroth and the first moment of
the cosine kernel over the fluid's side are

.. math::
    \mu_0 = \tfrac12 \left(1 + s + \tfrac1\pi \sin \pi s\right), \qquad
    \mu_1 = \epsilon \left(\tfrac14 (1 - s^2) - \tfrac1{2\pi}
        \left(s \sin \pi s + \tfrac1\pi (1 + \cos \pi s)\right)\right).

References:
    Boundary data immersion method for Cartesian-grid simulations of fluid-body interaction problems (Weymouth & Yue,
    2011), https://doi.org/10.1016/j.jcp.2011.04.022; Accurate Cartesian-grid simulations of near-body flows at
    intermediate Reynolds numbers (Maertens & Weymouth, 2015), https://doi.org/10.1016/j.cma.2014.09.007
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Body", "Circle", "Outline", "ellipse", "moments", "placed"]

Body = Callable[[Tensor], Tensor]
_CHUNK = 2**21  # pairs of a point and an edge that are compared at a time


@dataclass(frozen=True)
class Circle:
    """A disc: ``centre (*B, 2)``, ``radius (*B)``."""

    centre: Tensor
    radius: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """The signed distance ``(*B, ...)`` of points ``x (..., 2)``."""
        offset = x - self.centre.reshape(*self.centre.shape[:-1], *(1,) * (x.ndim - 1), 2)
        return _length(offset) - self.radius.reshape(*self.radius.shape, *(1,) * (x.ndim - 1))


@dataclass(frozen=True)
class Outline:
    """A closed polygon, ``points (*B, n, 2)`` in either direction; the last one is joined to the first.

    The distance is differentiable with respect to the points, almost everywhere. ``ValueError`` where the points are
    fewer than 3 or not finite.
    """

    points: Tensor

    def __post_init__(self) -> None:
        p = self.points
        if p.ndim < 2 or p.shape[-1] != 2 or p.shape[-2] < 3 or not bool(p.isfinite().all()):
            raise ValueError(f"got an outline of shape {tuple(p.shape)}, finite: {bool(p.isfinite().all())}; expected "
                             "(*B, n, 2) finite numbers with n >= 3: the corners of a closed polygon in order")

    def __call__(self, x: Tensor) -> Tensor:
        """The signed distance ``(*B, ...)`` of points ``x (..., 2)``."""
        rows, flat = self.points.reshape(-1, *self.points.shape[-2:]), x.reshape(-1, 2)
        each = max(1, _CHUNK // rows.shape[-2])
        found = [torch.cat([_distance(row, part) for part in flat.split(each)]) for row in rows.unbind()]
        return torch.stack(found).reshape(*self.points.shape[:-2], *x.shape[:-1])


def ellipse(length: Tensor | float, height: Tensor | float, points: int = 160) -> Tensor:
    """The outline ``(*B, points, 2)`` of an ellipse about the origin, with axes ``length (*B)`` and ``height (*B)``."""
    length, height = torch.as_tensor(length)[..., None], torch.as_tensor(height)[..., None]
    angle = torch.arange(points, dtype=length.dtype, device=length.device) * (2 * math.pi / points)
    return torch.stack(torch.broadcast_tensors(length * angle.cos() / 2, height * angle.sin() / 2), -1)


def placed(points: Tensor, alpha: Tensor | float, centre: Tensor | tuple[float, float] = (0.0, 0.0)) -> Tensor:
    """``points (*B, n, 2)`` turned about the origin to an angle of attack ``alpha (*B)``, then moved to ``centre``.

    ``alpha`` is in degrees, nose (small x) up in a stream along x; ``centre (*B, 2)`` is where the origin comes to lie.
    """
    like = {"dtype": points.dtype, "device": points.device}
    angle = torch.deg2rad(torch.as_tensor(alpha, **like))[..., None]
    x, y = points.unbind(-1)
    turned = torch.stack([x * angle.cos() + y * angle.sin(), y * angle.cos() - x * angle.sin()], -1)
    return turned + torch.as_tensor(centre, **like)[..., None, :]


def moments(distance: Tensor, width: float) -> tuple[Tensor, Tensor]:
    r""":math:`\mu_0` and :math:`\mu_1`, like ``distance``, of a kernel of half-width ``width``, in the same unit."""
    s = (distance / width).clamp(-1, 1)
    sine, cosine = (math.pi * s).sin(), (math.pi * s).cos()
    zeroth = (1 + s + sine / math.pi) / 2
    return zeroth, width * ((1 - s * s) / 4 - (s * sine + (1 + cosine) / math.pi) / (2 * math.pi))


def _distance(corners: Tensor, x: Tensor) -> Tensor:
    """The signed distance ``(m,)`` of points ``x (m, 2)`` to one polygon ``(n, 2)``.

    The nearest edge is found without a gradient; only the distance to it carries one.
    """
    after = corners.roll(-1, 0)
    with torch.no_grad():
        a, b, p = corners.detach(), after.detach(), x.detach()[:, None]
        nearest = _to_edge(p, a, b)[0].square().sum(-1).argmin(-1)
        y, low, high = p[..., 1], a[:, 1], b[:, 1]
        slope = (b - a)[:, 0] / torch.where(high == low, 1.0, high - low)
        crossed = ((low > y) != (high > y)) & (p[..., 0] < a[:, 0] + (y - low) * slope)
        sign = 1 - 2 * (crossed.sum(-1) % 2).to(x)
    return sign * _length(_to_edge(x, corners[nearest], after[nearest])[0])


def _to_edge(x: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """From the nearest point of the edge a-b to ``x``, and where on the edge that point is, 0 to 1."""
    edge, offset = b - a, x - a
    square = edge.square().sum(-1)
    share = ((offset * edge).sum(-1) / torch.where(square > 0, square, 1.0)).clamp(0, 1)
    return offset - share[..., None] * edge, share


def _length(v: Tensor) -> Tensor:
    """The norm over the last axis; its gradient at zero is zero, not NaN."""
    square = v.square().sum(-1)
    return torch.where(square > 0, torch.where(square > 0, square, 1.0).sqrt(), 0.0)
