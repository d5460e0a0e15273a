r"""Darcy's law: :math:`-\nabla \cdot (a \nabla u) = f`, the pressure ``u`` of flow through rock of permeability ``a``.

Finite volumes on cell centres (:mod:`stencils`): the flux through a face is the pressure drop times the harmonic mean
of the two permeabilities, which is exact for layers; no fluid is lost. Second order where ``a`` is smooth. The matrix
is symmetric, positive and banded; it is factorised sample by sample (banded Cholesky), and the gradient reuses the
factor: with :math:`A u = f` and :math:`\lambda = A^{-1} \partial J / \partial u`, :math:`dJ = \lambda^T (df - dA\, u)`.

:class:`Darcy` is the system of the neural operators (``f = 1``, ``u = 0`` at the walls); :class:`Wells` has closed
walls, an inflow and an outflow in opposite corners, and a pressure of zero mean.

References:
    Fourier Neural Operator for Parametric Partial Differential Equations (Li et al., 2021),
    https://arxiv.org/abs/2010.08895; Physics-Informed Diffusion Models (Bastek, Sun & Kochmann, 2025),
    https://arxiv.org/abs/2403.14404, for the wells.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.linalg import cho_solve_banded, cholesky_banded
from torch import Tensor

from .fields import GaussianField
from .grids import Cosine, Sine, centres, check
from .stencils import conductance, divergence, flux

__all__ = ["Darcy", "Wells"]


@dataclass(frozen=True)
class Darcy:
    """Parts: permeability ``a (*B, n, n)``, pressure ``u (*B, n, n)``; zero pressure at the walls.

    Arguments:
        n: cells along a side.
        f: source per unit area, a number or ``(n, n)``.
        permeability, pressure: the natural size of ``a`` and ``u``; of the published set by default.
    """

    n: int
    f: float | Tensor = 1.0
    permeability: float = 6.0
    pressure: float = 0.007

    def fields(self) -> GaussianField:
        """The published law that ``fields.binary`` makes the permeability of: :math:`N(0, 9 (-\\Delta + 9)^{-2})`."""
        return GaussianField(Cosine(self.n), alpha=2, tau=3, gain=9)

    def source(self, like: Tensor) -> Tensor:
        """``f (n, n)``."""
        return torch.as_tensor(self.f).to(like).expand(self.n, self.n)

    def apply(self, a: Tensor, u: Tensor) -> Tensor:
        """The source ``(*B, n, n)`` that ``u`` is the pressure for."""
        check("a", a, self.n, self.n)
        check("u", u, self.n, self.n)
        return divergence(*flux(a, u, walls=2.0))

    def solve(self, a: Tensor) -> Tensor:
        """The pressure ``(*B, n, n)`` for ``a > 0``, to rounding; differentiable, on the CPU and in float64 inside."""
        check("a", a, self.n, self.n)
        return _Solve.apply(a, self.source(a).expand_as(a), 2.0)

    def residual(self, a: Tensor, u: Tensor) -> Tensor:
        """``(*B, n^2)``: the source that is missing, over the rms of ``f``; a row's norm is the rms over the square.

        Zero for a solution to rounding and 1 for ``u = 0``, on every grid.
        """
        source = self.source(u)
        return (self.apply(a, u) - source).flatten(-2) / (self.n * source.square().mean().sqrt())

    def gap(self, a: Tensor, u: Tensor) -> Tensor:
        """``(*B, n^2)``: about how far ``u`` is from the pressure for ``a``, over ``pressure``; rms as there.

        The missing source as a pressure in rock of even permeability. It vanishes where :meth:`residual` does, and
        weighs all wavelengths alike up to the contrast of ``a``: a preconditioned residual.
        """
        basis = Sine(self.n)
        scale = basis.differences().to(u) * (self.permeability * self.pressure * self.n)
        return basis.collect(basis.expand(self.apply(a, u) - self.source(u)) / scale).flatten(-2)


@dataclass(frozen=True)
class Wells:
    """Darcy's law between closed walls: parts as in :class:`Darcy`; the pressure has zero mean.

    The published permeability is the exponential of a field of :func:`fields.exponential`.

    Arguments:
        n: cells along a side.
        rate: source per unit area in the well at (0, 0); minus that at (1, 1).
        side: of the square wells.
        pressure: the natural size of ``u``.
    """

    n: int
    rate: float = 10.0
    side: float = 0.125
    pressure: float = 0.07

    def source(self, like: Tensor) -> Tensor:
        """``(n, n)``, of zero sum."""
        inside = centres(self.n, like) < self.side
        well = (inside[:, None] & inside).to(like)
        return self.rate * (well - well.flip(0, 1))

    def apply(self, a: Tensor, u: Tensor) -> Tensor:
        """The source ``(*B, n, n)`` that ``u`` is the pressure for, if its mean is zero."""
        check("a", a, self.n, self.n)
        check("u", u, self.n, self.n)
        return divergence(*flux(a, u, walls=0.0))

    def solve(self, a: Tensor) -> Tensor:
        """The pressure ``(*B, n, n)`` of zero mean for ``a > 0``; differentiable, on the CPU and in float64 inside."""
        check("a", a, self.n, self.n)
        return _Solve.apply(a, self.source(a).expand_as(a), 0.0)

    def residual(self, a: Tensor, u: Tensor) -> Tensor:
        """``(*B, n^2)``: the source that is missing and the mean pressure, over their natural sizes.

        The norm of a row is the rms over the square: zero for a solution and 1 for ``u = 0``, on every grid.
        """
        source = self.source(u)
        size = source.square().mean().sqrt()
        mean = u.mean((-2, -1), keepdim=True) / self.pressure
        return ((self.apply(a, u) - source) / size + mean).flatten(-2) / self.n


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
