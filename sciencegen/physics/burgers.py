r"""Burgers' equation :math:`u_t + (u^2/2)_x = \nu u_{xx}` on a periodic interval of length 1.

Finite volumes: Godunov's flux between values that are reconstructed linearly in each cell with van Leer's limiter, the
second difference for viscosity, the third-order strong-stability-preserving Runge-Kutta scheme in time. Second order
where ``u`` is smooth, no new extrema at a shock, the mean conserved to rounding. The number of steps in a frame is
fixed by the bound ``speed`` on ``|u|``, not by the data, so that a sample does not depend on its batch.

References:
    Towards the Ultimate Conservative Difference Scheme V (van Leer, 1979), https://doi.org/10.1016/0021-9991(79)90145-1;
    Efficient Implementation of Essentially Non-oscillatory Shock-capturing Schemes (Shu & Osher, 1988),
    https://doi.org/10.1016/0021-9991(88)90177-5; DiffusionPDE (Huang et al., 2024), https://arxiv.org/abs/2406.17763,
    for the constants and the law of the initial states.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .fields import GaussianField
from .frames import defects, march
from .grids import Fourier, check
from .system import Part, Stored

__all__ = ["Burgers"]

COURANT = 0.5


@dataclass(frozen=True)
class Burgers:
    """Parts: initial state ``a (*B, n)``, later states ``u (*B, frames, n)``.

    Arguments:
        n: cells.
        nu: viscosity.
        frame: time between frames.
        frames: how many.
        speed: bound on ``|a|``, and so on ``|u|``.
        size: the natural size of a state; the rms of the published initial states by default.
    """

    n: int
    nu: float = 0.01
    frame: float = 1 / 31
    frames: int = 31
    speed: float = 2.0
    size: float = 0.27

    @classmethod
    def square(cls, n: int) -> Burgers:
        """As many moments as cells, over one unit of time: start and frames make a square image, a row a time."""
        return cls(n, frame=1 / (n - 1), frames=n - 1)

    @property
    def parts(self) -> dict[str, Part]:
        """Initial state ``a`` and later states ``u``."""
        times = [self.frame * (i + 1) for i in range(self.frames)]
        return {"a": Part.cells(self.n, "x", periodic=True), "u": Part.cells(self.n, "x", times, periodic=True)}

    @property
    def symmetries(self) -> tuple[()]:
        """None that is made use of."""
        return ()

    def draw(self, count: int, seed: int = 0, first: int = 0) -> dict[str, Tensor]:
        """Initial states ``{"a": (count, n)}`` in float64, of :meth:`starts`."""
        return {"a": self.starts().sample(count, seed, first)}

    def read(self, stored: Stored) -> Mapping[str, Burgers]:
        """With the file's frames and ``nu``, read twice: PDEBench's generator divides its ``Nu`` by pi."""
        nu, frames = stored("nu", "Nu"), {"frame": stored.frame, "frames": stored.frames}
        return {f"nu = {nu:.4g}": replace(self, nu=nu, **frames),
                f"nu = {nu:.4g} / pi, as PDEBench means it": replace(self, nu=nu / math.pi, **frames)}

    def starts(self) -> GaussianField:
        """The published law of ``a``: :math:`N(0, 7^4 (-\\Delta + 49)^{-2.5})`, periodic."""
        return GaussianField(Fourier(self.n), alpha=2.5, tau=7, gain=7**4, dims=1)

    @property
    def steps(self) -> int:
        """Steps in a frame: the Courant number of advection, and of diffusion twice over, is at most a half."""
        return math.ceil(self.frame * (self.speed * self.n + 2 * self.nu * self.n**2) / COURANT)

    def rate(self, u: Tensor) -> Tensor:
        """``du/dt (*B, n)``: what enters a cell less what leaves it."""
        ahead = u.roll(-1, -1) - u
        slope = _limited(ahead.roll(1, -1), ahead) / 2
        left, right = u + slope, (u - slope).roll(-1, -1)
        flux = torch.maximum(left.clamp_min(0) ** 2, right.clamp_max(0) ** 2) / 2 - self.nu * self.n * ahead
        return (flux.roll(1, -1) - flux) * self.n

    def advance(self, u: Tensor) -> Tensor:
        """The state one frame after ``u (*B, n)``."""
        check("u", u, self.n)
        step = self.frame / self.steps
        for _ in range(self.steps):
            first = u + step * self.rate(u)
            second = 0.75 * u + 0.25 * (first + step * self.rate(first))
            u = u / 3 + 2 / 3 * (second + step * self.rate(second))
        return u

    def solve(self, a: Tensor) -> Tensor:
        """The frames ``(*B, frames, n)`` after ``a``; differentiable.

        Raises:
            ValueError: where ``|a|`` exceeds ``speed``: the steps would be too long.
        """
        if (largest := float(a.detach().abs().max())) > self.speed:
            raise ValueError(f"got |a| up to {largest:.3g}; expected at most speed = {self.speed:g}; raise `speed`")
        return march(self.advance, a, self.frames, dims=1)

    def residual(self, a: Tensor, u: Tensor) -> Tensor:
        """``(*B, frames n)``: what each frame differs by from the map of the one before it, over ``size``.

        The norm of a row is the rms over the interval, added in quadrature over the frames: zero for a solution to
        rounding, about 1 for ``u = 0``.
        """
        return defects(self.advance, a, u, 1, self.size)


def _limited(behind: Tensor, ahead: Tensor) -> Tensor:
    """Van Leer's slope: the harmonic mean of two differences of one sign, else 0."""
    product = behind * ahead
    same = product > 0
    return torch.where(same, 2 * product / torch.where(same, behind + ahead, 1.0), 0.0)
