r"""The heat equation :math:`u_t = \nu \Delta u` on the unit square, kicked by noise or not, exactly.

Every mode :math:`\phi_k` of the grid decays on its own, by :math:`e^{-\nu \omega_k^2 t}`: the solution is exact in time
and spectral in space. With ``noise`` :math:`g > 0` each cell is kicked by :math:`g \sqrt{\tau} N(0, 1)` after every
:math:`\tau` (frame / kicks). A mode is then a chain :math:`c' = e c + \sqrt q \xi`, :math:`\xi \sim N(0, 1)`, from one
frame to the next, with

.. math:: e = e^{-\nu \omega^2 T}, \qquad q = \frac{g^2 \tau}{n^2} \sum_{j=0}^{m-1} e^{-2 \nu \omega^2 \tau j},

so that with a Gaussian start the posterior of the start given the end is known mode by mode (:meth:`Heat.posterior`):
a referee for samplers that run diffusion backwards.

References:
    Solving Inverse Physics Problems with Score Matching (Holzschuh, Vegetti & Thuerey, 2023),
    https://arxiv.org/abs/2301.10250, for the stochastic task and its constants.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .fields import GaussianField
from .frames import defects, kicked, march
from .grids import Basis, Fourier, check
from .system import Part, Stored
from .turns import SQUARE, Orientation

__all__ = ["Heat"]


@dataclass(frozen=True)
class Heat:
    """Parts: start ``a (*B, n, n)``, later states ``u (*B, frames, n, n)``.

    Arguments:
        basis: the grid and its walls: :class:`grids.Fourier`, ``Sine`` or ``Cosine``.
        nu: diffusivity, squared side per time; by default that of a square of side 2 pi with 1.
        frame: time between frames.
        frames: how many.
        noise: strength g of the kicks of a cell, per root of time; only :meth:`kicked` and the laws of a mode use it.
        kicks: how many in a frame.
        size: the natural size of a state.
    """

    basis: Basis
    nu: float = 1 / (4 * math.pi**2)
    frame: float = 0.2
    frames: int = 1
    noise: float = 0.1
    kicks: int = 20
    size: float = 1.0

    @classmethod
    def periodic(cls, n: int) -> Heat:
        """On a periodic grid of ``n x n`` cells."""
        return cls(Fourier(n))

    @property
    def parts(self) -> dict[str, Part]:
        """Start ``a`` and later states ``u``."""
        wraps, n = isinstance(self.basis, Fourier), self.basis.n
        times = [self.frame * (i + 1) for i in range(self.frames)]
        return {"a": Part.cells(n, periodic=wraps), "u": Part.cells(n, times=times, periodic=wraps)}

    @property
    def symmetries(self) -> tuple[Orientation, ...]:
        """Those of the square."""
        return SQUARE

    def draw(self, count: int, seed: int = 0, first: int = 0) -> dict[str, Tensor]:
        """Starts ``{"a": (count, n, n)}`` in float64, of :meth:`starts`."""
        return {"a": self.starts().sample(count, seed, first)}

    def read(self, stored: Stored) -> Mapping[str, Heat]:
        """With the file's ``nu`` and frames."""
        nu = stored("nu", "Nu")
        return {f"nu = {nu:.4g}": replace(self, nu=nu, frame=stored.frame, frames=stored.frames)}

    def starts(self) -> GaussianField:
        """The published law of ``a``: periodic, spectrum :math:`|k|^{-4}`, unit rms."""
        bare = GaussianField(Fourier(self.basis.n), alpha=2, tau=0, gain=1)
        return GaussianField(Fourier(self.basis.n), alpha=2, tau=0, gain=bare.rms() ** -2)

    def decay(self, time: float) -> Tensor:
        """What is left of each mode after ``time``, ``(n, n)`` in float64."""
        return torch.exp(-self.nu * time * self.basis.laplacian())

    def transition(self) -> tuple[Tensor, Tensor]:
        """Factor ``e (n, n)`` and noise variance ``q (n, n)`` of each mode's coefficient over one frame, in float64."""
        step = self.frame / self.kicks
        powers = self.decay(2 * step)[..., None] ** torch.arange(self.kicks)
        return self.decay(self.frame), self.noise**2 * step / self.basis.n**2 * powers.sum(-1)

    def posterior(self, prior: Tensor, end: Tensor) -> tuple[Tensor, Tensor]:
        """Mean field ``(*B, n, n)`` and mode variances ``(n, n)`` of the start, given the state one frame later.

        Arguments:
            prior: variances ``(n, n)`` of the start's modes in this basis, 0 where a mode is known to be zero.
            end: the state ``(*B, n, n)``.
        """
        check("end", end, self.basis.n, self.basis.n)
        factor, noise = self.transition()
        total = factor**2 * prior + noise
        return self.basis.collect(self.basis.expand(end) * (prior * factor / total).to(end)), prior * noise / total

    def advance(self, u: Tensor) -> Tensor:
        """The state one frame after ``u (*B, n, n)``, without kicks; linear."""
        check("u", u, self.basis.n, self.basis.n)
        with u.device:
            decay = self.decay(self.frame).to(u)
        return self.basis.collect(self.basis.expand(u) * decay)

    def solve(self, a: Tensor) -> Tensor:
        """The frames ``(*B, frames, n, n)`` after ``a``, without kicks."""
        return march(self.advance, a, self.frames, dims=2)

    def kicked(self, a: Tensor, white: Tensor) -> Tensor:
        """The frames after ``a`` with the kicks that standard normal numbers ``(*B, frames, n, n)`` make."""
        check("white", white, self.frames, self.basis.n, self.basis.n)
        spread = self.transition()[1].sqrt().to(white)
        return kicked(self.advance, a, self.basis.collect(spread * white), dims=2)

    def residual(self, a: Tensor, u: Tensor) -> Tensor:
        """``(*B, frames n^2)``: what each frame differs by from the map of the one before it, over ``size``.

        The norm of a row is the rms over the square, added in quadrature over the frames: zero without kicks, the part
        of the start that survives a frame for ``u = 0``.
        """
        return defects(self.advance, a, u, 2, self.size)
