r"""Linear advection, diffusion and damping of a field on a periodic interval, driven by noise, exactly.

.. math:: u_t + c u_x = \nu u_{xx} - r u + \dot W

Every Fourier mode is an Ornstein-Uhlenbeck process of its own. With :math:`\lambda_k = r + \nu k^2 + i c k` it is a
chain from frame to frame, :math:`\hat u_k' = a_k \hat u_k + \sqrt{q_k} \xi_k`, with

.. math:: a_k = e^{-\lambda_k T}, \qquad q_k = S_k (1 - |a_k|^2), \qquad S_k \sim (1 + (k / k_0)^2)^{-3},

where the noise is chosen such that :math:`S_k`, of sum one, is the spectrum of the stationary law. So all that can be
asked of it has an exact answer: the forecast, with the score :math:`\sqrt{V/\pi}` of a pixel of variance :math:`V`, the
filter and the smoother (:mod:`sciencegen.physics.kalman`), and the likelihood of speed and viscosity.

References:
    Filtering Complex Turbulent Systems (Majda & Harlim, 2012), https://doi.org/10.1017/CBO9781139061308, for such modes
    as a test of filters.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from .fields import white
from .frames import defects, kicked, march
from .grids import check
from .kalman import LinearGaussian
from .system import Part, Stored

__all__ = ["AdvectionDiffusion", "Modes"]


class Modes(NamedTuple):
    """The chain of each Fourier mode ``0 ... n // 2``, coefficients being those of ``norm="forward"``.

    Arguments:
        factor: complex, from a frame to the next; real at the highest wave number of an even grid.
        kick: variance of what a frame adds.
        power: variance of the stationary law.
    """

    factor: Tensor
    kick: Tensor
    power: Tensor


@dataclass(frozen=True)
class AdvectionDiffusion:
    """Parts: start ``a (*B, n)``, later states ``u (*B, frames, n)``.

    Arguments:
        n: cells.
        c: speed.
        nu: viscosity.
        damping: rate r at which the mean decays.
        frame: time between frames.
        frames: how many.
        length: of the interval.
        bend: wave number (radians per length) where the spectrum of the stationary law bends.
    """

    n: int
    c: float = 1.0
    nu: float = 0.02
    damping: float = 0.2
    frame: float = 0.25
    frames: int = 8
    length: float = 2 * math.pi
    bend: float = 3.0

    @property
    def parts(self) -> dict[str, Part]:
        """Start ``a`` and later states ``u``."""
        times = [self.frame * (i + 1) for i in range(self.frames)]
        cells = partial(Part.cells, self.n, "x", periodic=True, length=self.length)
        return {"a": cells(), "u": cells(times=times)}

    @property
    def symmetries(self) -> tuple[()]:
        """None that is made use of."""
        return ()

    def draw(self, count: int, seed: int = 0, first: int = 0) -> dict[str, Tensor]:
        """Starts ``{"a": (count, n)}`` in float64, of the stationary law."""
        return {"a": self.coloured(self.modes().power, white(self.n, count, seed, first, 1))}

    def read(self, stored: Stored) -> Mapping[str, AdvectionDiffusion]:
        """With the file's ``c``, ``nu`` and frames, and its ``damping`` where it stores one."""
        c, nu = stored("c", "speed"), stored("nu", "Nu")
        read = replace(self, c=c, nu=nu, damping=stored.parameters.get("damping", self.damping), frame=stored.frame,
                       frames=stored.frames)
        return {f"c = {c:.4g}, nu = {nu:.4g}": read}

    def modes(self, c: Tensor | None = None, nu: Tensor | None = None) -> Modes:
        """The chains in float64, ``(n // 2 + 1,)``; for speeds and viscosities ``(*G)``, ``(*G, n // 2 + 1)``."""
        speed, viscosity = (torch.as_tensor(own if given is None else given, dtype=torch.float64)[..., None]
                            for own, given in ((self.c, c), (self.nu, nu)))
        wave = 2 * math.pi / self.length * torch.arange(self.n // 2 + 1, dtype=torch.float64, device=speed.device)
        phase = -speed * wave * self.frame
        if self.n % 2 == 0:  # one number, not two: it cannot turn
            phase = torch.cat([phase[..., :-1], torch.zeros_like(phase[..., -1:])], -1)
        left = torch.exp(-(self.damping + viscosity * wave**2) * self.frame)
        power = (1 + (wave / self.bend) ** 2) ** -3
        power = power / (self.multiplicity.to(power) * power).sum()
        return Modes(left * torch.polar(torch.ones_like(phase), phase), power * (1 - left**2), power)

    @property
    def multiplicity(self) -> Tensor:
        """How many real numbers a mode has: one for the mean and the highest of an even grid, else two."""
        count = torch.full((self.n // 2 + 1,), 2.0, dtype=torch.float64)
        count[0] = 1
        if self.n % 2 == 0:
            count[-1] = 1
        return count

    def coloured(self, power: Tensor, noise: Tensor) -> Tensor:
        """The field ``(*B, n)`` with the spectrum ``power`` that standard normal numbers of that shape give."""
        modes = power.sqrt().to(noise) * torch.fft.rfft(noise, norm="ortho")
        return torch.fft.irfft(modes, self.n, norm="forward")

    def advance(self, u: Tensor) -> Tensor:
        """The mean of the state one frame after ``u (*B, n)``; linear."""
        check("u", u, self.n)
        with u.device:
            factor = self.modes().factor
        modes = torch.fft.rfft(u)
        return torch.fft.irfft(modes * factor.to(modes), self.n)

    def solve(self, a: Tensor) -> Tensor:
        """The mean of the frames ``(*B, frames, n)`` after ``a``: without noise."""
        return march(self.advance, a, self.frames, dims=1)

    def kicked(self, a: Tensor, noise: Tensor) -> Tensor:
        """The frames after ``a`` with the kicks that standard normal numbers ``(*B, frames, n)`` make."""
        check("noise", noise, self.frames, self.n)
        return kicked(self.advance, a, self.coloured(self.modes().kick, noise), dims=1)

    def residual(self, a: Tensor, u: Tensor) -> Tensor:
        """``(*B, frames n)``: what each frame differs by from the mean of what follows the one before it.

        The norm of a row is the rms over the interval, added in quadrature over the frames, in units of the stationary
        deviation, which is one: zero without noise.
        """
        return defects(self.advance, a, u, 1, 1.0)

    def forecast(self, a: Tensor, lead: int) -> tuple[Tensor, Tensor]:
        """The exact forecast ``lead`` frames after ``a (*B, n)``: mean ``(*B, n)`` and covariance ``(n, n)``."""
        factor, _, power = self.modes()
        mean = torch.fft.irfft(torch.fft.rfft(a) * factor.to(torch.fft.rfft(a)) ** lead, self.n)
        return mean, self.covariance(power * (1 - factor.abs() ** (2 * lead)))

    def covariance(self, power: Tensor) -> Tensor:
        """The covariance ``(n, n)`` of a field of this spectrum."""
        row = torch.fft.irfft(power.to(torch.complex128), self.n, norm="forward")
        places = torch.arange(self.n)
        return row[(places[:, None] - places) % self.n]

    def linear(self) -> LinearGaussian:
        """The same as a linear Gaussian state-space model, from the stationary law on; for filter and smoother."""
        modes = self.modes()
        matrix = self.advance(torch.eye(self.n, dtype=torch.float64)).mT
        return LinearGaussian(torch.zeros(self.n, dtype=torch.float64), self.covariance(modes.power), matrix,
                              self.covariance(modes.kick))

    def log_likelihood(self, u: Tensor, c: Tensor | None = None, nu: Tensor | None = None) -> Tensor:
        """Logarithm of the density of a path ``u (*B, T, n)``, start included: ``(*B)``; of parameters: ``(*B, *G)``.

        Up to a constant of the grid and of ``T``, by the innovations :math:`\\hat u_{t+1} - a_k \\hat u_t`.
        """
        factor, kick, power = self.modes(c, nu)
        modes = torch.fft.rfft(u.double(), norm="forward")
        modes = modes.reshape(*u.shape[:-2], *(1,) * (factor.ndim - 1), *modes.shape[-2:])
        start = modes[..., 0, :].abs() ** 2 / power + power.log()
        innovation = modes[..., 1:, :] - factor[..., None, :] * modes[..., :-1, :]
        steps = innovation.abs() ** 2 / kick[..., None, :] + kick.log()[..., None, :]
        return -((start + steps.sum(-2)) * self.multiplicity).sum(-1) / 2
