r"""Homogenisation: effective conductivity and elasticity of periodic images of materials, by fast Fourier transforms.

A cell of pixels (or voxels) with properties :math:`k(x)` repeats in all directions. Under a mean gradient :math:`e`
the field in it is :math:`e + D u` with a periodic :math:`u` that leaves the flux without sources,

.. math:: D^T k \, (e + D u) = 0, \qquad e \cdot k^* e = \langle (e + D u) \cdot k \, (e + D u) \rangle ,

and likewise displacements, strains and stiffnesses. ``D`` are Willot's rotated differences: ``u`` lives on corners,
gradients in the middles of pixels, where the material is. So a flux turned by a right angle is a gradient of the same
kind in two dimensions, and Keller's duality holds to rounding. Conjugate gradients solve it, preconditioned by the
homogeneous cell in Fourier space.

What is minimised is what is returned, so that the gradient needs no adjoint solve:
:math:`\partial k^*_{ij} / \partial k(x) = \langle (e_i + D u_i) \cdot (e_j + D u_j) \rangle_x`.

References:
    Fourier-based schemes for computing the mechanical response of composites with accurate local fields (Willot, 2015),
    https://doi.org/10.1016/j.crme.2014.12.005; A theorem on the conductivity of a composite medium (Keller, 1964),
    https://doi.org/10.1063/1.1704146
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

__all__ = ["conductivity", "stiffness"]

TOLERANCE, MOST = 1e-7, 2000  # of the residual's norm over the load's; iterations


def conductivity(k: Tensor, axes: int = 2, tolerance: float = TOLERANCE) -> Tensor:
    """Effective conductivity ``(*B, d, d)`` of cells ``k (*B, *grid)`` with ``axes = d`` axes, 2 or 3; symmetric.

    Also the effective diffusivity, permittivity or permeability. Differentiable once in ``k``.

    Arguments:
        k: conductivity of each pixel, above zero.
        axes: how many of the last axes are the grid.
        tolerance: at which the solver stops, of the residual's norm over the load's, a cell for itself.

    Raises:
        ValueError: a cell that is none, or with numbers that are not positive and finite.
    """
    _check("k", k, axes, least=0.0)
    return _Effective.apply(_Conduction(axes), tolerance, k.reshape(-1, 1, *k.shape[-axes:])).reshape(
        *k.shape[:-axes], axes, axes)


def stiffness(lame: Tensor, shear: Tensor, axes: int = 2, tolerance: float = TOLERANCE) -> Tensor:
    r"""Effective stiffness ``(*B, v, v)`` in Voigt's notation of cells with Lame constants ``(*B, *grid)``; symmetric.

    ``v`` is 3 in two dimensions (plane strain: 11, 22, 12) and 6 in three (11, 22, 33, 23, 13, 12), with engineering
    shear strains. Each pixel is isotropic, :math:`\sigma = \lambda \, \mathrm{tr} \epsilon + 2 \mu \epsilon`; voids are
    pixels ten thousand times softer. Differentiable once in both.

    Arguments:
        lame: Lame's first constant :math:`\lambda` of each pixel, pascals or any unit; zero and more.
        shear: shear modulus :math:`\mu`, same unit, above zero.
        axes, tolerance: as of :func:`conductivity`.

    Raises:
        ValueError: cells of unequal shapes, and as of :func:`conductivity`.
    """
    if lame.shape != shear.shape:
        raise ValueError(f"got lame of shape {tuple(lame.shape)} and shear of {tuple(shear.shape)}; expected the same")
    _check("lame", lame, axes)
    _check("shear", shear, axes, least=0.0)
    cells = torch.stack([part.reshape(-1, *part.shape[-axes:]) for part in (lame, shear)], 1)
    size = axes * (axes + 1) // 2
    return _Effective.apply(_Elasticity(axes), tolerance, cells).reshape(*lame.shape[:-axes], size, size)


class _Law(NamedTuple):
    """A material law of cells: loads, fields of unknowns, fluxes of fields, and the homogeneous cell's inverse."""

    loads: Tensor  # (l, f): mean fields
    field: Callable[[Tensor], Tensor]  # unknowns (..., c, *grid) to fields (..., f, *grid)
    adjoint: Callable[[Tensor], Tensor]
    flux: Callable[[Tensor, Tensor], Tensor]  # properties (b, p, *grid) and fields (b, l, f, *grid)
    inverse: Callable[[Tensor], Tensor]
    pairs: Callable[[Tensor], Tensor]  # fields (b, l, f, *grid) to d flux / d property: (b, p, l, l, *grid)


@dataclass(frozen=True)
class _Conduction:
    axes: int

    def law(self, grid: tuple[int, ...], like: Tensor) -> _Law:
        steps = _differences(grid, like)
        power = steps.abs().square().sum(0)
        back = torch.where(power > 1e-12, 1 / power.clamp_min(1e-12), 0.0)
        return _Law(torch.eye(self.axes).to(like),
                    lambda u: _inverse(steps * _spectrum(u, grid), grid),
                    lambda f: _inverse((steps.conj() * _spectrum(f, grid)).sum(-len(grid) - 1, keepdim=True), grid),
                    lambda k, f: k[:, :, None] * f,
                    lambda r: _inverse(back * _spectrum(r, grid), grid),
                    lambda f: torch.einsum("bif...,bjf...->bij...", f, f)[:, None])


@dataclass(frozen=True)
class _Elasticity:
    """Strains as vectors whose shears count by the root of two (Mandel), so that products are plain."""

    axes: int

    def law(self, grid: tuple[int, ...], like: Tensor) -> _Law:
        steps, d = _differences(grid, like), self.axes
        pairs = _voigt(d)
        root = [1.0 if i == j else math.sqrt(0.5) for i, j in pairs]
        trace = torch.tensor([1.0 if i == j else 0.0 for i, j in pairs]).to(like).reshape(-1, *[1] * d)
        across = torch.zeros(len(pairs), d, *steps.shape[1:], dtype=steps.dtype, device=steps.device)
        for row, (i, j) in enumerate(pairs):
            across[row, i] += root[row] * steps[j] * (0.5 if i == j else 1.0)
            across[row, j] += root[row] * steps[i] * (0.5 if i == j else 1.0)
        stiff = torch.einsum("fi...,fj...->...ij", across.conj(), across)
        stiff = stiff + torch.einsum("i...,j...->...ij", steps.conj(), steps)
        back = torch.linalg.pinv(stiff, hermitian=True, atol=1e-9, rtol=0.0)
        apply = lambda matrix, v, form: _inverse(torch.einsum(form, matrix, _spectrum(v, grid)), grid)
        return _Law(torch.eye(len(pairs)).to(like),
                    lambda u: apply(across, u, "fc...,nlc...->nlf..."),
                    lambda f: apply(across.conj(), f, "fc...,nlf...->nlc..."),
                    lambda p, e: (p[:, :1, None] * (trace * e).sum(2, keepdim=True) * trace + 2 * p[:, 1:, None] * e),
                    lambda r: apply(back, r, "...cd,nld...->nlc..."),
                    lambda e: _moduli(e, trace))


def _moduli(strain: Tensor, trace: Tensor) -> Tensor:
    volume = (trace * strain).sum(2)
    return torch.stack([volume[:, :, None] * volume[:, None],
                        2 * torch.einsum("bif...,bjf...->bij...", strain, strain)], 1)


class _Effective(torch.autograd.Function):
    """Properties ``(b, p, *grid)`` to the effective tensor ``(b, l, l)``, in Voigt's notation where it has shears."""

    @staticmethod
    def forward(ctx: Any, material: _Conduction | _Elasticity, tolerance: float, cells: Tensor) -> Tensor:
        law = material.law(tuple(cells.shape[2:]), cells)
        pairs = law.pairs(_solved(law, cells, tolerance)) / math.prod(cells.shape[2:])
        ctx.save_for_backward(pairs if cells.requires_grad else None)
        ctx.scale = _engineering(len(law.loads), material, cells)
        return ctx.scale * (cells[:, :, None, None] * pairs).flatten(4).sum((1, 4))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, None, Tensor]:
        (pairs,) = ctx.saved_tensors
        return None, None, torch.einsum("bij,bpij...->bp...", gradient * ctx.scale, pairs)


def _solved(law: _Law, cells: Tensor, tolerance: float) -> Tensor:
    """The fields ``(b, l, f, *grid)`` of all loads; a row that does not converge is NaN."""
    mean = law.loads.reshape(1, *law.loads.shape, *[1] * (cells.ndim - 2))
    push = lambda field: law.adjoint(law.flux(cells, field))
    inner = lambda a, b: (a * b).flatten(2).sum(-1)[(..., *[None] * (a.ndim - 2))]
    residual = -push(mean.expand(len(cells), *mean.shape[1:3], *cells.shape[2:]))
    enough = (tolerance**2 * inner(residual, residual)).clamp_min(torch.finfo(cells.dtype).tiny)
    unknown, heading, before = torch.zeros_like(residual), torch.zeros_like(residual), torch.ones_like(enough)
    for _ in range(MOST):
        busy = inner(residual, residual) > enough
        if not bool(busy.any()):
            break
        ready = law.inverse(residual)
        now = inner(residual, ready)
        heading = ready + now / before * heading
        image = push(law.field(heading))
        step = torch.where(busy, now / inner(heading, image).clamp_min(torch.finfo(cells.dtype).tiny), 0.0)
        unknown, residual, before = unknown + step * heading, residual - step * image, torch.where(busy, now, before)
    field = mean + law.field(unknown)
    return torch.where(inner(residual, residual) > enough, torch.nan, field)


def _differences(grid: tuple[int, ...], like: Tensor) -> Tensor:
    """Fourier symbols ``(d, *half spectrum)`` of the differences from corners to middles, along each axis."""
    whole, last = grid[:-1], grid[-1]
    waves = [torch.fft.fftfreq(n, dtype=torch.float64) for n in whole] + [torch.fft.rfftfreq(last, dtype=torch.float64)]
    turns = torch.meshgrid(*(torch.exp(2j * math.pi * wave) for wave in waves), indexing="ij")
    made = [math.prod([turn - 1 if i == axis else (turn + 1) / 2 for i, turn in enumerate(turns)], start=1.0)
            for axis in range(len(grid))]
    if len(grid) == 2 and not any(n % 2 for n in grid):  # a chequerboard has no difference: give it one, in both axes
        for steps in made:
            steps[grid[0] // 2, -1] = 2.0
    return torch.stack(made).to(like.device, torch.complex128 if like.dtype == torch.float64 else torch.complex64)


def _spectrum(field: Tensor, grid: tuple[int, ...]) -> Tensor:
    return torch.fft.rfftn(field, dim=tuple(range(-len(grid), 0)))


def _inverse(spectrum: Tensor, grid: tuple[int, ...]) -> Tensor:
    return torch.fft.irfftn(spectrum, grid, dim=tuple(range(-len(grid), 0)))


def _voigt(axes: int) -> list[tuple[int, int]]:
    """Which components a strain's entries are, in Voigt's order."""
    shears = list(itertools.combinations(range(axes), 2))
    return [(i, i) for i in range(axes)] + shears[::-1]


def _engineering(size: int, material: _Conduction | _Elasticity, like: Tensor) -> Tensor:
    """Of Mandel's shears to Voigt's stiffnesses: half for each index that is a shear, by the root of two."""
    normal = torch.arange(size) < (size if isinstance(material, _Conduction) else material.axes)
    root = torch.where(normal, 1.0, math.sqrt(0.5))
    return (root[:, None] * root).to(like)


def _check(name: str, value: Tensor, axes: int, least: float = -math.inf) -> None:
    if axes not in (2, 3) or value.ndim < axes or min(value.shape[-axes:]) < 2 or not value.is_floating_point():
        raise ValueError(f"got {name} of shape {tuple(value.shape)}, {value.dtype}, with axes={axes}; expected floats "
                         "(*B, *grid), a grid of 2 or 3 axes of at least two pixels")
    if not bool(torch.isfinite(value).all() & (value > least).all()):
        raise ValueError(f"got {name} from {float(value.min()):g} to {float(value.max()):g}; expected finite numbers" +
                         (" above zero: a void is a pixel 1e4 times softer or less conducting" if least == 0 else ""))
