r"""Descriptors of two-phase images: periodic, batched, in torch; ``phase (*B, ny, nx)`` of 0 and 1, or between.

Two-point function, lineal path, chords and correlation length are those of "Random Heterogeneous Materials" (Torquato,
2002), https://doi.org/10.1007/978-1-4757-6355-3. On a periodic grid each is a mean over all places, so that two-point
function and lineal path are exact, and chords are the runs of pixels of one phase along an axis.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .style import Style

__all__ = ["chords", "fraction", "lineal_path", "orientation", "style_of", "two_point"]

LAGS = ((0, 1), (1, 0), (1, 1), (1, -1))  # (y, x), of neighbours


def fraction(phase: Tensor) -> Tensor:
    """Share of phase 1, ``(*B,)``."""
    return phase.mean((-2, -1))


def two_point(phase: Tensor) -> Tensor:
    """Two-point function ``S2 (*B, ny, nx)`` over all lags, the origin first: the chance of phase 1 at both ends."""
    transform = torch.fft.rfft2(phase)
    size = phase.shape[-2] * phase.shape[-1]
    return torch.fft.irfft2(transform.abs().square(), s=phase.shape[-2:]) / size


def lineal_path(phase: Tensor, axis: int = -1, longest: int | None = None) -> Tensor:
    """The chance ``(*B, longest + 1)`` that ``r + 1`` pixels in a row along an axis are all of phase 1."""
    inside, found = phase, [fraction(phase)]
    for r in range(1, 1 + (phase.shape[axis] // 2 if longest is None else longest)):
        inside = inside * phase.roll(-r, axis)
        found.append(fraction(inside))
    return torch.stack(found, -1)


def chords(phase: Tensor, axis: int = -1, longest: int | None = None) -> Tensor:
    """How many chords of ``1, 2, ..., longest - 1`` pixels a pixel has, ``(*B, longest - 1)``: runs of phase 1.

    Their number is the second difference of the lineal path.
    """
    path = lineal_path(phase, axis, longest)
    return path[..., :-2] - 2 * path[..., 1:-1] + path[..., 2:]


def orientation(phase: Tensor) -> tuple[Tensor, Tensor]:
    r"""Moments of the structure tensor :math:`T = \langle \nabla c \, \nabla c^T \rangle` of the image.

    The angle ``(*B,)`` in degrees of the direction along which it varies least, and the anisotropy
    :math:`(\lambda_1 - \lambda_2) / (\lambda_1 + \lambda_2)` ``(*B,)``. Gradients are Sobel's. "Texture orientation
    with the structure tensor": "Scale-space theory" (Bigun & Granlund, 1987).
    """
    smooth = lambda v, axis: (v.roll(1, axis) + 2 * v + v.roll(-1, axis)) / 4
    slope = lambda v, axis: (v.roll(-1, axis) - v.roll(1, axis)) / 2
    gy, gx = slope(smooth(phase, -1), -2), slope(smooth(phase, -2), -1)
    yy, xx, xy = (fraction(v) for v in (gy * gy, gx * gx, gx * gy))
    angle = torch.rad2deg(torch.atan2(-2 * xy, yy - xx) / 2)
    spread = torch.hypot(yy - xx, 2 * xy) / (yy + xx).clamp_min(torch.finfo(phase.dtype).tiny)
    return angle % 180, spread


def style_of(phase: Tensor) -> Style:
    r"""The style that images ``(B, ny, nx)`` look like, by how often neighbours differ.

    Pixels at a small lag :math:`d` differ with the chance :math:`2 \varphi (1 - \varphi) |d|_M / \ell`; its square is a
    quadratic form in :math:`d`, which the four lags to neighbours give by least squares. Lengths of a few pixels come
    out too long, as the grid hides what is finer, by the same factor for images of equal law.
    """
    share = fraction(phase)
    spread = 2 * share * (1 - share)
    rates = [fraction((phase - phase.roll(lag, (-2, -1))).abs()) / spread.clamp_min(1e-12) for lag in LAGS]
    x, y, up, down = (rate.square() for rate in rates)
    cross = (up - down) / 4
    xx, yy = _least_squares(x, y, (up + down) / 2)
    root = (xx * yy - cross.square()).clamp_min(1e-12).sqrt()
    lean = torch.stack([(yy - xx) / (2 * root), -cross / root], -1)  # sinh(log aspect) times the direction
    size = lean.norm(dim=-1, keepdim=True).clamp_min(1e-12)
    return Style.stretched(root**-0.5, lean / size * torch.asinh(size), share.clamp(1e-6, 1 - 1e-6))


def _least_squares(x: Tensor, y: Tensor, both: Tensor) -> tuple[Tensor, Tensor]:
    """``a, b`` of ``a = x``, ``b = y`` and, of half the weight, ``a + b = both``."""
    gap = (both - x - y) / 4
    return x + gap, y + gap
