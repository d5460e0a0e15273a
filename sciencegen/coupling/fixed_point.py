r"""Fixed points of a map, accelerated by what earlier sweeps have told of its slope.

Of ``z = S(z)`` with residuals :math:`f_k = S(z_k) - z_k` the next guess is

.. math:: z_{k+1} = S(z_k) - \Delta S \, \gamma, \qquad \gamma = \arg\min |f_k - \Delta F \, \gamma| ,

where the columns of :math:`\Delta F, \Delta S` are the changes of residual and map from sweep to sweep: Anderson's
acceleration, a quasi-Newton method that needs no derivative; coupled solvers know it as IQN-ILS. Rows are independent:
each stops by itself, and its answer is the same in any company.

References:
    Iterative Procedures for Nonlinear Integral Equations (Anderson, 1965), https://doi.org/10.1145/321296.321305;
    Performance of a new partitioned procedure versus a monolithic procedure in fluid-structure interaction (Degroote,
    Bathe & Vierendeels, 2009), https://doi.org/10.1016/j.compstruc.2008.11.013
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["FixedPoint", "contraction", "fixed_point"]

Map = Callable[[Tensor], Tensor]
DEPTH = 10  # changes that are remembered
FAINT = 1e-12  # share of the largest direction below which one is rounding
TURNS = 24  # sweeps of a power iteration, of which the later half is believed


class FixedPoint(NamedTuple):
    """Where the sweeps ended.

    Arguments:
        value: ``(M, n)``, the last image of the map.
        residual: ``(M,)``, root mean square of the last change.
        sweeps: ``(M,)``, images of the map until a row was done.
        ritz: ``(M,)``, the largest eigenvalue of the map's slope among those that the sweeps have seen; zero where they
            saw none.
    """

    value: Tensor
    residual: Tensor
    sweeps: Tensor
    ritz: Tensor


def fixed_point(sweep: Map, start: Tensor, enough: Tensor, most: int) -> FixedPoint:
    """``z = sweep(z)`` from ``start (M, n)``, a row until its change is below ``enough (M,)``, after ``most`` at most.

    ``sweep`` takes and returns all rows. A row that is done keeps its value while others go on, and so does one that
    is no longer finite.
    """
    point, image = start, sweep(start)
    residual, sweeps = _rms(image - point), torch.ones_like(enough)
    steps, images, value = [], [], image
    for _ in range(most - 1):
        busy = ~(residual <= enough) & image.isfinite().all(-1)
        if not bool(busy.any()):
            break
        ahead = torch.where(busy[:, None], _ahead(point, image, steps, images), point)
        fresh = sweep(ahead)
        told = lambda change, busy=busy: torch.where(busy[:, None], change, 0.0).nan_to_num(0.0, 0.0, 0.0)
        steps, images = [*steps, told(ahead - point)][-DEPTH:], [*images, told(fresh - image)][-DEPTH:]
        point, image = torch.where(busy[:, None], ahead, point), torch.where(busy[:, None], fresh, image)
        value, residual = image, torch.where(busy, _rms(image - point), residual)
        sweeps = sweeps + busy.to(sweeps)
    return FixedPoint(value, residual, sweeps, _ritz(steps, images, residual))


def contraction(sweep: Map, at: Tensor, size: Tensor) -> Tensor:
    """By how much a small change at ``at (M, n)`` grows in a sweep in the end, ``(M,)``: the slope's spectral radius.

    A power iteration by differences of ``size (M,)``; at 1 and above, sweeps that are not accelerated diverge.
    """
    base, growth = sweep(at), []
    turn = torch.arange(1, at.shape[-1] + 1, device=at.device, dtype=at.dtype)
    change = (turn * 1.618033988749895).frac().sub(0.5).expand_as(at)  # any direction that is not special
    for _ in range(TURNS):
        change = change / _rms(change)[:, None].clamp_min(torch.finfo(at.dtype).tiny)
        change = (sweep(at + size[:, None] * change) - base) / size[:, None]
        growth.append(_rms(change))
    return torch.stack(growth[TURNS // 2:]).clamp_min(torch.finfo(at.dtype).tiny).log().mean(0).exp()


def _ahead(point: Tensor, image: Tensor, steps: list[Tensor], images: list[Tensor]) -> Tensor:
    """The next guess of each row: the image, less what the changes of earlier sweeps explain of the residual."""
    if not steps:
        return image
    moved, seen = torch.stack(steps, -1).double(), torch.stack(images, -1).double()
    change, residual = seen - moved, (image - point).double()
    ahead = image - (seen @ _least_squares(change, residual[..., None]))[..., 0].to(image)
    return torch.where(ahead.isfinite().all(-1, keepdim=True), ahead, image)


def _least_squares(columns: Tensor, right: Tensor) -> Tensor:
    """The ``(M, m, k)`` with ``columns (M, n, m)`` nearest to ``right (M, n, k)``; faint directions are left out."""
    scale = columns.norm(dim=-2).clamp_min(torch.finfo(columns.dtype).tiny)
    unit = columns / scale[:, None]
    gram = torch.linalg.pinv(unit.mT @ unit, hermitian=True, rtol=FAINT)
    return gram @ (unit.mT @ right) / scale[..., None]


def _ritz(steps: list[Tensor], images: list[Tensor], like: Tensor) -> Tensor:
    if not steps:
        return torch.zeros_like(like)
    moved, seen = torch.stack(steps, -1).double(), torch.stack(images, -1).double()
    slope = _least_squares(moved, seen)
    slope = torch.where(slope.isfinite().all((-1, -2), keepdim=True), slope, 0.0)
    return torch.linalg.eigvals(slope).abs().amax(-1).to(like)


def _rms(v: Tensor) -> Tensor:
    return v.square().sum(-1).div(max(v.shape[-1], 1)).sqrt()
