r"""Finite differences and finite volumes on the cell-centred grid of :mod:`grids`, as differentiable torch functions.

Values of a cell are means over it; what passes a face between two cells leaves the one and enters the other, so sums
over the square are exact. At a wall with the value 0 the ghost cell behind it holds minus the value of the cell before
it. Second order throughout: the truncation error is larger next to a wall, the error of the solution is not.

References:
    Finite Volume Methods for Hyperbolic Problems (LeVeque, 2002), https://doi.org/10.1017/CBO9780511791253
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["divergence", "flux", "laplacian"]


def laplacian(u: Tensor) -> Tensor:
    """The 5-point Laplacian of ``u (*B, n, n)``, zero at the walls."""
    n = u.shape[-1]
    left, right = torch.cat([-u[..., :1, :], u[..., :-1, :]], -2), torch.cat([u[..., 1:, :], -u[..., -1:, :]], -2)
    down, up = torch.cat([-u[..., :1], u[..., :-1]], -1), torch.cat([u[..., 1:], -u[..., -1:]], -1)
    return (left + right + down + up - 4 * u) * n**2


def conductance(a: Tensor) -> tuple[Tensor, Tensor]:
    """Harmonic means of ``a (*B, n, n)`` at the inner faces, ``(*B, n - 1, n)`` across x, ``(*B, n, n - 1)`` across y.

    The mean that makes the flux through two layers in a row exact.
    """
    x, y = (2 * a.narrow(d, 0, a.shape[d] - 1) * a.narrow(d, 1, a.shape[d] - 1) /
            (a.narrow(d, 0, a.shape[d] - 1) + a.narrow(d, 1, a.shape[d] - 1)) for d in (-2, -1))
    return x, y


def flux(a: Tensor, u: Tensor, walls: float) -> tuple[Tensor, Tensor]:
    """``-a grad u`` at all faces, ``(*B, n + 1, n)`` and ``(*B, n, n + 1)``.

    ``walls`` is 2 for walls at the value 0 (half a cell away), 0 for walls that let nothing through.
    """
    n, (x, y) = u.shape[-1], conductance(a)
    low, high = -walls * a[..., :1, :] * u[..., :1, :], walls * a[..., -1:, :] * u[..., -1:, :]
    bottom, top = -walls * a[..., :1] * u[..., :1], walls * a[..., -1:] * u[..., -1:]
    return (n * torch.cat([low, -x * u.diff(dim=-2), high], -2), n * torch.cat([bottom, -y * u.diff(dim=-1), top], -1))


def divergence(x: Tensor, y: Tensor) -> Tensor:
    """``(*B, n, n)``: what leaves each cell, of fluxes as :func:`flux` gives them."""
    return x.shape[-1] * x.diff(dim=-2) + y.shape[-2] * y.diff(dim=-1)
