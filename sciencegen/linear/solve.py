"""Systems of linear equations that are given as functions, solved row by row."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["conjugate_gradients"]


def conjugate_gradients(system: Callable[[Tensor], tuple[Tensor, Tensor]], right: Tensor, iterations: int,
                        whitened: bool = False) -> Tensor:
    """Solve ``system(z)[0] = right`` row by row, ``(*B, m)``, by a set number of iterations; rows stay independent.

    ``system(z)[1] (*B, 1)`` is the least curvature along ``z`` that is believed; a row stops where it is less. A
    ``whitened`` system is near the identity: a row takes at least the identity's own step, and stops once the rest is a
    thousandth, or grows (as it may where the system is not symmetric). "The Conjugate Gradient Method and Trust Regions
    in Large Scale Optimization" (Steihaug, 1983), https://doi.org/10.1137/0720042
    """
    z, residual = torch.zeros_like(right), right
    direction, square = residual, (residual**2).sum(-1, keepdim=True)
    finfo = torch.finfo(right.dtype)
    enough = 1e-6 * square if whitened else torch.full_like(square, -1.0)
    going = torch.ones_like(square, dtype=torch.bool)
    for index in range(min(iterations, right.shape[-1] + 2)):
        image, least = system(direction)
        curvature = (direction * image).sum(-1, keepdim=True)
        going = going & (curvature >= least) & (curvature > finfo.tiny)
        size = torch.where(going, square / curvature, float(whitened and index == 0))
        rest = residual - size * image
        fresh = (rest**2).sum(-1, keepdim=True)
        if whitened and index:
            going = going & (fresh < square)
            size = torch.where(going, size, 0)
        z, residual = z + size * direction, rest
        going = going & (fresh > enough)
        if whitened and not bool(going.any()):
            break
        direction, square = residual + fresh / square.clamp_min(finfo.tiny) * direction, fresh
    return z
