r"""Two-dimensional incompressible flow on a periodic unit square, as vorticity :math:`w`:

.. math:: w_t + \nabla \cdot (v w) = \nu \Delta w + f, \qquad v = (\psi_y, -\psi_x), \quad -\Delta \psi = w.

Pseudo-spectral: products on the grid, derivatives on Fourier modes, modes above two thirds of the highest frequency
left out of the products (no aliasing). Viscosity is integrated exactly by an integrating factor, the rest by the
classical Runge-Kutta scheme of fourth order. The mean vorticity is conserved to rounding.

References:
    Fourier Neural Operator for Parametric Partial Differential Equations (Li et al., 2021),
    https://arxiv.org/abs/2010.08895, for the force; DiffusionPDE (Huang et al., 2024), https://arxiv.org/abs/2406.17763,
    for the time span and the law of the initial vorticity; Fourth-Order Time-Stepping for Stiff PDEs (Kassam &
    Trefethen, 2005), https://doi.org/10.1137/S1064827502410633, for integrating factors.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .fields import GaussianField
from .frames import defects, march
from .grids import Fourier, centres, check
from .system import Part, Stored

__all__ = ["NavierStokes", "integrate"]


@dataclass(frozen=True)
class NavierStokes:
    """Parts: initial vorticity ``a (*B, n, n)``, later vorticity ``u (*B, frames, n, n)``.

    Arguments:
        n: cells along a side.
        nu: kinematic viscosity.
        force: amplitude of the force :math:`f = force (\\sin 2 \\pi (x + y) + \\cos 2 \\pi (x + y))` on the vorticity.
        frame: time between frames.
        frames: how many.
        steps: steps in a frame.
        size: the natural size of the vorticity; the rms of the published initial states by default.
    """

    n: int
    nu: float = 1e-3
    force: float = 0.1
    frame: float = 1.0
    frames: int = 1
    steps: int = 10
    size: float = 0.26

    @property
    def parts(self) -> dict[str, Part]:
        """Initial vorticity ``a`` and later vorticity ``u``."""
        times = [self.frame * (i + 1) for i in range(self.frames)]
        return {"a": Part.cells(self.n, periodic=True), "u": Part.cells(self.n, times=times, periodic=True)}

    @property
    def symmetries(self) -> tuple[()]:
        """None that is made use of: the force singles out a direction."""
        return ()

    def draw(self, count: int, seed: int = 0, first: int = 0) -> dict[str, Tensor]:
        """Initial states ``{"a": (count, n, n)}`` in float64, of :meth:`starts`."""
        return {"a": self.starts().sample(count, seed, first)}

    def read(self, stored: Stored) -> Mapping[str, NavierStokes]:
        """With the file's ``nu``, ``force`` (0.1 where it stores none) and frames."""
        nu, force = stored("nu", "Nu"), stored.parameters.get("force", 0.1)
        read = replace(self, nu=nu, force=force, frame=stored.frame, frames=stored.frames)
        return {f"nu = {nu:.4g}, force = {force:.4g}": read}

    def starts(self) -> GaussianField:
        """The published law of ``a``, as its generator draws it: :math:`N(0, 2 \\cdot 7^3 (-\\Delta + 49)^{-2.5})`.

        Periodic. The papers state the covariance without the factor 2 that the published generator has.
        """
        return GaussianField(Fourier(self.n), alpha=2.5, tau=7, gain=2 * 7**3)

    def forcing(self, like: Tensor) -> Tensor:
        """``f (n, n)``."""
        x = centres(self.n, like)
        phase = 2 * math.pi * (x[:, None] + x)
        return self.force * (phase.sin() + phase.cos())

    def advance(self, w: Tensor) -> Tensor:
        """The vorticity one frame after ``w (*B, n, n)``."""
        check("u", w, self.n, self.n)
        return integrate(w, self.forcing(w), self.nu, 0.0, self.frame / self.steps, self.steps)

    def solve(self, a: Tensor) -> Tensor:
        """The frames ``(*B, frames, n, n)`` after ``a``; differentiable, on every device."""
        return march(self.advance, a, self.frames, dims=2)

    def residual(self, a: Tensor, u: Tensor) -> Tensor:
        """``(*B, frames n^2)``: what each frame differs by from the map of the one before it, over ``size``.

        The norm of a row is the rms over the square, added in quadrature over the frames: zero for a solution to
        rounding, about 1 for ``u = 0``.
        """
        return defects(self.advance, a, u, 2, self.size)


def integrate(w: Tensor, force: Tensor, nu: float, drag: float, step: float, steps: int) -> Tensor:
    """The vorticity ``(*B, n, n)`` so many steps later; ``drag`` is a rate of decay, of all waves alike."""
    n = w.shape[-1]
    kx, ky = _wavenumbers(n, w)
    squares = kx**2 + ky**2
    kept = ((kx.abs() < 2 / 3 * math.pi * n) & (ky.abs() < 2 / 3 * math.pi * n)).to(w)
    inverse = kept / torch.where(squares > 0, squares, 1.0)
    velocity = torch.stack([1j * ky * inverse, -1j * kx * inverse, kept.to(squares * 1j)])
    gradient = torch.stack([-1j * kx * kept, -1j * ky * kept])
    source, half = torch.fft.rfft2(force), torch.exp(-(nu * squares + drag) * step / 2)

    def rate(c: Tensor) -> Tensor:
        vx, vy, inside = torch.fft.irfft2(velocity * c[..., None, :, :], s=(n, n)).unbind(-3)
        product = torch.fft.rfft2(torch.stack([vx * inside, vy * inside], -3))
        return (gradient * product).sum(-3) + source

    c = torch.fft.rfft2(w)
    for _ in range(steps):
        a = rate(c)
        b = rate(half * (c + step / 2 * a))
        d = rate(half * c + step / 2 * b)
        e = rate(half * (half * c + step * d))
        c = half**2 * (c + step / 6 * a) + step / 3 * half * (b + d) + step / 6 * e
    return torch.fft.irfft2(c, s=(n, n))


def _wavenumbers(n: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """Radians per side of each Fourier mode, ``(n, 1)`` and ``(1, n // 2 + 1)``."""
    double = {"dtype": torch.float64, "device": like.device}
    x, y = torch.fft.fftfreq(n, 1 / n, **double), torch.fft.rfftfreq(n, 1 / n, **double)
    return (2 * math.pi * x[:, None]).to(like), (2 * math.pi * y[None]).to(like)
