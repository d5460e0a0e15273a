r"""Kolmogorov flow kicked by noise: two-dimensional vorticity on a periodic unit square, forced by a wave.

.. math:: w_t + \nabla \cdot (v w) = \nu \Delta w - r w + F \cos(2 \pi m y) + \dot W

The equation of :mod:`sciencegen.physics.navier_stokes`, with drag, another force, and after each frame of length
:math:`T` a Gaussian kick of variance :math:`g^2 T`, spread evenly over the waves of length 1 to ``band``. Its forecast
from a known start is a law and no path; the law is sampled exactly, up to the solver, by solving from that start with
other kicks: the perfect model's ensemble is the floor of every score.

References:
    Invariant Recurrent Solutions Embedded in a Turbulent Two-dimensional Kolmogorov Flow (Chandler & Kerswell, 2013),
    https://doi.org/10.1017/jfm.2013.122; Probabilistic Forecasting with Stochastic Interpolants and Foellmer Processes
    (Chen et al., 2024), https://arxiv.org/abs/2403.13724, for kicked vorticity as a test of forecasts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .fields import white
from .frames import defects, kicked, march
from .grids import centres, check
from .navier_stokes import integrate
from .system import Part, Stored

__all__ = ["Kolmogorov"]

WARM = 40  # frames before a start: eight units of time, six decorrelation times
STREAM = 1  # of the kicks before the start; stream 0 is the field that they are given to


@dataclass(frozen=True)
class Kolmogorov:
    """Parts: initial vorticity ``a (*B, n, n)``, later vorticity ``u (*B, frames, n, n)``.

    Arguments:
        n: cells along a side.
        nu: kinematic viscosity.
        drag: rate r at which all waves decay.
        force: amplitude F of the force on the vorticity.
        waves: how many of the force's waves are on a side, m.
        noise: strength g of the kicks, per root of time; :meth:`draw` and :meth:`kicked` use it.
        band: length of the shortest wave that is kicked, in waves on a side.
        frame: time between frames.
        frames: how many.
        steps: steps in a frame.
        size: the natural size of the vorticity.
    """

    n: int
    nu: float = 1e-3
    drag: float = 0.1
    force: float = 6.0
    waves: int = 4
    noise: float = 1.5
    band: int = 4
    frame: float = 0.2
    frames: int = 4
    steps: int = 8
    size: float = 3.3

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
        """States of the stationary law, ``{"a": (count, n, n)}`` in float64: from one kick on, after many kicks."""
        rows, long = torch.zeros(count, self.n, self.n, dtype=torch.float64), replace(self, frames=WARM)
        noise = white(self.n, count, seed, first, stream=STREAM, frames=WARM)
        return {"a": long.kicked(rows, noise)[..., -1, :, :]}

    def read(self, stored: Stored) -> Mapping[str, Kolmogorov]:
        """With the file's ``nu`` and frames, and its ``force`` and ``drag`` where it stores them."""
        nu = stored("nu", "Nu")
        more = {name: stored.parameters.get(name, getattr(self, name)) for name in ("force", "drag")}
        return {f"nu = {nu:.4g}": replace(self, nu=nu, frame=stored.frame, frames=stored.frames, **more)}

    def advance(self, w: Tensor) -> Tensor:
        """The vorticity one frame after ``w (*B, n, n)``, without a kick."""
        check("u", w, self.n, self.n)
        wave = self.force * torch.cos(2 * math.pi * self.waves * centres(self.n, w))
        return integrate(w, wave.expand(self.n, -1), self.nu, self.drag, self.frame / self.steps, self.steps)

    def kick(self) -> Tensor:
        """Variance of the kick of each Fourier mode, ``(n, n // 2 + 1)`` in float64, for ``norm="forward"``."""
        k = torch.fft.fftfreq(self.n, 1 / self.n, dtype=torch.float64)
        length = torch.hypot(k[:, None], k)
        inside = ((length > 0) & (length <= self.band)).double()
        return (self.noise**2 * self.frame * inside / inside.sum())[:, : self.n // 2 + 1]

    def kicked(self, a: Tensor, noise: Tensor) -> Tensor:
        """The frames after ``a`` with the kicks that standard normal numbers ``(*B, frames, n, n)`` make."""
        check("noise", noise, self.frames, self.n, self.n)
        modes = self.kick().sqrt().to(noise) * torch.fft.rfft2(noise, norm="ortho")
        return kicked(self.advance, a, torch.fft.irfft2(modes, (self.n, self.n), norm="forward"), dims=2)

    def solve(self, a: Tensor) -> Tensor:
        """The frames ``(*B, frames, n, n)`` after ``a``, without kicks; differentiable."""
        return march(self.advance, a, self.frames, dims=2)

    def residual(self, a: Tensor, u: Tensor) -> Tensor:
        """``(*B, frames n^2)``: what each frame differs by from the map of the one before it, over ``size``.

        The norm of a row is the rms over the square, added in quadrature over the frames: zero without kicks to
        rounding, about 1 for ``u = 0``.
        """
        return defects(self.advance, a, u, 2, self.size)
