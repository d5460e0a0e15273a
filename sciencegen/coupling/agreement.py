"""Where sweeps from model to model agree, and what they have told of the slope of a sweep.

Sweeps are accelerated as IQN-ILS does (:mod:`sciencegen.fixed_points`), which is Anderson's acceleration of a fixed
point: "Iterative Procedures for Nonlinear Integral Equations" (Anderson, 1965), https://doi.org/10.1145/321296.321305.
The changes that it remembers span a space in which the sweep's slope is known, and so are its largest eigenvalues.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from ..fixed_points import FixedPoint, InterfaceQuasiNewton, fixed_point

__all__ = ["Agreed", "agree", "contraction"]

Map = Callable[[Tensor], Tensor]
COLUMNS, FAINT = 12, 1e-5  # changes that are remembered; the share of one below which it is another's
SAME = 1e-12  # share of the largest direction below which one is rounding
TURNS = 24  # sweeps of a power iteration, of which the later half is believed


class Agreed(NamedTuple):
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


def agree(sweep: Map, start: Tensor, enough: Tensor, most: int) -> Agreed:
    """``z = sweep(z)`` from ``start (M, n)``, a row until its change is below ``enough (M,)``, after ``most`` at most.

    ``sweep`` takes and returns all rows. A row that is done keeps its value while others go on.
    """
    found = fixed_point(sweep, start, InterfaceQuasiNewton(1.0, COLUMNS, FAINT), enough, most, absolute=True)
    return Agreed(found.point, found.history[-1], found.iterations.to(start), _ritz(found))


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


def _ritz(found: FixedPoint) -> Tensor:
    """The largest eigenvalue, in size, of the slope in the space of the steps that were taken, ``(M,)``."""
    if len(found.starts) < 2:
        return torch.zeros_like(found.history[-1])
    moved, seen = (torch.stack(v, -1).double().diff().nan_to_num(0.0, 0.0, 0.0) for v in (found.starts, found.ends))
    scale = moved.norm(dim=-2).clamp_min(torch.finfo(moved.dtype).tiny)
    unit = moved / scale[:, None]
    slope = torch.linalg.pinv(unit.mT @ unit, hermitian=True, rtol=SAME) @ (unit.mT @ (seen / scale[:, None]))
    return torch.linalg.eigvals(slope).abs().amax(-1).to(found.point)


def _rms(v: Tensor) -> Tensor:
    return v.square().sum(-1).div(max(v.shape[-1], 1)).sqrt()
