r"""The pressure for a permeability: a symmetric, positive, banded system, factorised sample by sample.

Banded Cholesky factors cost :math:`O(n^4)` a sample; the gradient reuses them: with :math:`A(a) u = f` and
:math:`\lambda = A^{-1} \partial J / \partial u`, :math:`dJ = \lambda^T (df - dA\, u)`. LAPACK does it on the CPU and in
float64; inputs on another device or in float32 are carried there and the solution back.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy.linalg import cho_solve_banded, cholesky_banded
from torch import Tensor

from .stencils import conductance, divergence, flux

__all__ = ["pressure"]


def pressure(a: Tensor, f: Tensor, walls: float) -> Tensor:
    """``A(a)^{-1} f (*B, n, n)``, differentiable; between closed walls (0) that of zero mean, for ``f`` of zero sum.

    ``walls`` is as in :func:`stencils.flux`. ValueError unless ``a > 0`` everywhere.
    """
    return _Solve.apply(a, f, walls)


class _Solve(torch.autograd.Function):
    """``A(a)^{-1} f``; between closed walls the solution of zero mean, for a source of zero sum."""

    @staticmethod
    def forward(ctx, a: Tensor, f: Tensor, walls: float) -> Tensor:
        if not bool((a > 0).all()):
            raise ValueError(f"got a permeability of {float(a.min()):.3g} at the least; expected positive values "
                             "everywhere (clamp or exponentiate it)")
        factors = _factors(a.detach(), walls)
        u = _solve(factors, f.detach(), walls)
        ctx.save_for_backward(a, u)
        ctx.factors, ctx.walls = factors, walls
        return u

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient: Tensor):
        a, u = ctx.saved_tensors
        adjoint = _solve(ctx.factors, gradient, ctx.walls)
        with torch.enable_grad():
            variable = a.detach().requires_grad_()
            work = (adjoint * divergence(*flux(variable, u, ctx.walls))).sum()
            (slope,) = torch.autograd.grad(work, variable)
        return -slope, adjoint, None


def _factors(a: Tensor, walls: float) -> list[np.ndarray]:
    """Cholesky factors of ``A(a)``, one banded matrix ``(n + 1, n^2)`` a sample.

    Between closed walls A is singular; one cell is then tied to zero pressure, and no fluid goes there if sources sum
    to zero.
    """
    n, rows = a.shape[-1], a.double().cpu().reshape(-1, *a.shape[-2:])
    x, y = conductance(rows)
    diagonal = torch.zeros_like(rows)
    diagonal[:, :-1] += x
    diagonal[:, 1:] += x
    diagonal[..., :-1] += y
    diagonal[..., 1:] += y
    for at in ((slice(None), 0), (slice(None), -1), (..., 0), (..., -1)):
        diagonal[at] += walls * rows[at]
    if not walls:
        diagonal[:, 0, 0] += rows[:, 0, 0]
    bands = torch.zeros(len(rows), n + 1, n * n, dtype=torch.float64)
    bands[:, 0] = diagonal.flatten(1)
    bands[:, 1].view(-1, n, n)[..., :-1] = -y
    bands[:, n].view(-1, n, n)[:, :-1] = -x
    return [cholesky_banded(band, overwrite_ab=True, lower=True, check_finite=False) for band in bands.numpy()]


def _solve(factors: list[np.ndarray], f: Tensor, walls: float) -> Tensor:
    n = f.shape[-1]
    rows = f.double().cpu().reshape(-1, n, n)
    if not walls:
        rows = rows - rows.mean((-2, -1), keepdim=True)
    solved = [cho_solve_banded((factor, True), row, check_finite=False)
              for factor, row in zip(factors, rows.flatten(1).numpy(), strict=True)]
    u = torch.from_numpy(np.stack(solved)).reshape(rows.shape) / n**2 if solved else rows
    if not walls:
        u = u - u.mean((-2, -1), keepdim=True)
    return u.reshape(f.shape).to(f)
